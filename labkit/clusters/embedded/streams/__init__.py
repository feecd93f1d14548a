"""Logs, exec, attach and port-forward, as kubectl and the official clients open them."""
