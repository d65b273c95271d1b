"""Order and batching of concurrent work."""
