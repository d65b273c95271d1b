"""Metrics in pure NumPy: classification accuracy and retrieval recall@k."""
