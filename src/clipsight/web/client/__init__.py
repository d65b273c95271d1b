"""Searches answered by a running server."""
