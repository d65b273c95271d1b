"""The catalog in SQLite, and the vector index derived from it."""
