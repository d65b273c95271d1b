"""Checking, mending, backing up and restoring a library."""
