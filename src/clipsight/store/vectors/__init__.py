"""The vector index: FAISS files derived from the catalog, disposable."""
