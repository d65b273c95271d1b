"""Queries, and the photos that answer them."""
