"""Laid on a machine beside a learner's files; nothing here imports them."""
