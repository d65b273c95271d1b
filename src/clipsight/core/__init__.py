"""Foundations of all other packages: errors, paths, files, text, array types, optional dependencies."""
