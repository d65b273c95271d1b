"""Vector indexes, derived from the catalog and disposable, and exact ranking."""
