"""Priorities and batching of concurrent work."""
