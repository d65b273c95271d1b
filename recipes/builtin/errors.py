"""Errors of the recipe that a user can remedy."""

from __future__ import annotations

from clipsight.core.errors import ClipsightError


class RecipeError(ClipsightError):
    """A problem with the data or packages: one line with the reason and the remedy."""
