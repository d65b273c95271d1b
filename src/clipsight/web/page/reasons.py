"""An explanation as the page shows it: bars for words, and a picture to lay over the photo. For `search`."""

import base64
import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clipsight.explain.base import Explanation


def reasons(explanation: "Explanation") -> dict[str, Any]:
    """The query's parts and their words, each with its share, the largest 1 or -1; and the heat map."""
    bars: list[tuple[str, float, bool]] = []
    several = len(explanation.parts) > 1
    for part in explanation.parts:
        if several:
            bars.append((part.part, part.share, False))
        if not several or len(part.words) > 1:
            bars += [(word.word, word.contribution, several) for word in part.words]
    largest = max((abs(value) for _, value, _ in bars), default=0.0) or 1.0
    return {
        "bars": [
            {"name": name, "value": f"{value:+.3f}", "share": round(value / largest, 3), "inner": inner}
            for name, value, inner in bars
        ],
        "heat": None if explanation.region is None else _heat_png(explanation),
        "seen": [round(side, 4) for side in explanation.seen],
        "notes": list(explanation.notes),
    }


def _heat_png(explanation: "Explanation") -> str:
    """The heat in the colours of `explain`, as a data: URL of a PNG that the browser stretches and blends."""
    import numpy as np
    from PIL import Image

    from clipsight.render.explanations.overlay import colours, highest

    assert explanation.region is not None
    levels = explanation.region.heat / (highest(explanation) or 1.0)
    pixels = colours()[(levels.clip(0, 1) * 255).round().astype(np.uint8)]
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
