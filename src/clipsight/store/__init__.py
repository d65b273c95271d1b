"""What is kept: the catalog (SQLite, the truth) and the search index derived from it (FAISS)."""
