"""Readers: files to upright RGB pixels and metadata."""
