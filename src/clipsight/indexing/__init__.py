"""Indexing: scan folders, decode files, embed new photos into the catalog."""
