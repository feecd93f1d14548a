"""Kubernetes itself, built from Debian's source package, with a node whose pods are containers."""
