"""Foundations that every room stands on: errors, paths, files."""
