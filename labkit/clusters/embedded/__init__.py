"""A small cluster that kubectl takes for one: an API, controllers, a scheduler and node agents in one process."""
