"""Runs that produced what ships with clipsight, with their figures."""
