"""The emulated account's process; it runs in the environment `cloud`, which holds moto."""
