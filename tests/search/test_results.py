"""What a search answers behaves like a list and prints as JSON."""

import json
from pathlib import Path

from clipsight.search.results import Match, Matches


def match(name: str, score: float) -> Match:
    return Match(Path("/photos") / name, score, 7, 640, 480, "2024-05-01T12:00:00", "exif", 1000, True)


def test_matches_are_a_sequence() -> None:
    found = Matches("a cat", "builtin", (match("a.jpg", 0.31234567), match("b.jpg", 0.2)))
    assert len(found) == 2 and found[1].path.name == "b.jpg"
    assert [each.path.name for each in found] == [each.path.name for each in found[:]] == ["a.jpg", "b.jpg"]
    assert repr(found) == "Matches('a cat', 2 photos, best 0.312 'a.jpg')"
    assert repr(Matches("x", "builtin", ())) == "Matches('x', 0 photos)"


def test_json_shape() -> None:
    found = json.loads(json.dumps(Matches("a cat", "builtin", (match("a.jpg", 0.31234567),)).to_dict()))
    assert list(found) == ["query", "model", "matches"]
    assert found["matches"] == [
        {
            "path": "/photos/a.jpg",
            "score": 0.312346,
            "id": 7,
            "width": 640,
            "height": 480,
            "taken": "2024-05-01T12:00:00",
        }
    ]
