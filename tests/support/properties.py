"""Settings of property tests."""

from typing import Any

from hypothesis import HealthCheck, settings

USUAL = 100
"""Examples of a property whose test names no number."""

PATIENT: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
"""A busy machine fails no property: neither an example nor the drawing of examples has a time limit."""


def examples(count: int, *suppressed: HealthCheck, **others: Any) -> settings:
    """Settings of a test of `count` examples; the profile `dev` tries a tenth, as of any property."""
    checks = [*PATIENT["suppress_health_check"], *suppressed]
    assert settings.default is not None
    scaled = max(5, count * settings.default.max_examples // USUAL)
    return settings(max_examples=scaled, suppress_health_check=checks, **others)
