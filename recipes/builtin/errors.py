"""The one exception that a person running the recipe is meant to see."""

from __future__ import annotations

from clipsight.core.errors import ClipsightError


class RecipeError(ClipsightError):
    """Something the person can mend: one line that says what is wrong and what to do next."""
