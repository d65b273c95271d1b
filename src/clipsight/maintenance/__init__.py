"""Checks, repairs, backs up and restores a library."""
