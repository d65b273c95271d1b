"""Indexing: scan folders, decode files, and store the embeddings of new photos in the catalog."""
