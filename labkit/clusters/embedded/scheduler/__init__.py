"""Which pod runs where, and why it can't."""
