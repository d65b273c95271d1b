"""Explanations as text, PNG and HTML."""
