"""An example of each request and answer of the API, for its description; tests check them."""

from collections.abc import Mapping
from typing import Any

_LISTED = {
    "path": "/home/ada/Pictures/2024/bee.jpg",
    "id": 17,
    "width": 4032,
    "height": 3024,
    "taken": "2024-05-31T18:30:02",
    "taken_source": "exif",
}
_LABELS = [{"label": "a dog", "probability": 0.93}, {"label": "a cat", "probability": 0.07}]
_PICTURE = "R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs="
_UPLOAD = "0f3b1c9d5a7e4f60812c3d4e5f607182"

EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "Upload": {"picture": _PICTURE, "name": "street.gif"},
    "SearchRequest": {
        "query": "flower + 2:bee - cartoon",
        "taken_from": "2023",
        "taken_to": "2024-05",
        "formats": ["jpeg"],
        "top": 20,
    },
    "ClassifyRequest": {"labels": ["a dog", "a cat"], "photos": [17], "unknown": True},
    "ExplainRequest": {"query": "a bee on a flower", "photo": 17},
    "LabelRequest": {"label": "holiday", "photos": [17, 23]},
    "IndexRequest": {"folders": ["f3b1c9d5"], "exclude": ["*.gif", "screenshots"]},
    "EmbedRequest": {"texts": ["two dogs on a beach"]},
    "OpenAIRequest": {"input": ["two dogs on a beach"]},
    "ListingAnswer": {"photos": [_LISTED], "total": 12_300},
    "UploadAnswer": {"id": _UPLOAD},
    "FiltersAnswer": {"cameras": ["Canon EOS R6"], "formats": ["HEIF", "JPEG"]},
    "LabelledAnswer": {"photos": 2},
    "ForgottenAnswer": {"photos": 120},
    "SearchAnswer": {
        "query": "flower + 2:bee - cartoon",
        "model": "builtin",
        "matches": [{**_LISTED, "score": 0.312, "copies": []}],
        "parts": [
            {"text": "flower", "weight": 1.0},
            {"text": "bee", "weight": 2.0},
            {"text": "cartoon", "weight": -1.0},
        ],
        "notes": [],
    },
    "PhotoAnswer": {
        **_LISTED,
        "size": 3_481_022,
        "format": "JPEG",
        "camera": "Canon EOS R6",
        "reachable": True,
        "labels": ["holiday"],
        "latitude": None,
        "longitude": None,
        "partial": None,
    },
    "ClassifyAnswer": {
        "model": "builtin",
        "templates": "plain",
        "scoring": "softmax",
        "photos": [{"id": 17, "path": _LISTED["path"], "labels": _LABELS}],
        "notes": [],
    },
    "ExplainAnswer": {
        "score": 0.312,
        "method": "occlusion",
        "words": [
            {"word": "bee", "contribution": 0.11, "stderr": None},
            {"word": "flower", "contribution": 0.08, "stderr": None},
        ],
        "region": {
            "of": "bee flower",
            "method": "occlusion",
            "unit": "score",
            "seen": [0.125, 0.0, 0.875, 1.0],
            "heat": [[0.0, 0.02], [0.11, 0.01]],
        },
        "notes": [],
    },
    "EmbedAnswer": {"model": "builtin", "dim": 2, "vectors": [[0.6, 0.8]]},
    "OpenAIAnswer": {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.6, 0.8]}],
        "model": "builtin",
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    },
    "FolderAnswer": {
        "id": "f3b1c9d5",
        "path": "/home/ada/Pictures",
        "photos": 12_300,
        "unreachable": 0,
        "indexed": "2024-06-01T09:00:00",
        "exclude": ["*.gif"],
    },
    "JobAnswer": {
        "id": "a1b2c3",
        "state": "running",
        "what": "/home/ada/Pictures",
        "model": "builtin",
        "scanned": 40_000,
        "done": 12_300,
        "total": 40_000,
        "embedded": 12_280,
        "recognised": 18,
        "failed": 2,
        "started": 1_717_225_200.0,
        "finished": None,
        "notes": [],
        "error": None,
    },
    "FailureAnswer": {
        "path": "/home/ada/Pictures/broken.jpg",
        "reason": "the file is truncated",
        "date": "2024-06-01T09:00:00",
    },
    "PartialAnswer": {"path": "/home/ada/Pictures/half.jpg", "reason": "the file ends early"},
    "LabelAnswer": {"label": "holiday", "photos": 2},
    "ModelAnswer": {
        "name": "builtin",
        "on_disk": True,
        "in_use": True,
        "recommended": False,
        "multilingual": False,
        "license": "Apache-2.0",
        "commercial": True,
        "embed_dim": 256,
        "size_bytes": 36_000_000,
        "retrieval": 0.42,
        "imagenet_top1": None,
        "problem": None,
    },
    "StatusAnswer": {
        "library": "/home/ada/.local/share/clipsight/library",
        "model": "builtin",
        "next_model": None,
        "to_embed": 0,
        "photos": 12_300,
        "unreachable": 0,
        "missing": 0,
        "bytes": 81_149_952,
        "failures": 2,
        "partial": 1,
        "text_read": 11_900,
        "with_text": 840,
        "samples": False,
    },
    "HealthAnswer": {"ok": True, "photos": 12_300, "model": "builtin", "problems": []},
    "Alive": {"ok": True},
}
"""By the name of the model; what stands only inside of others has its example there."""


def add_example(schema: dict[str, Any], model: type[Any]) -> None:
    """Put the example of `model`, if it has one, into its JSON schema (pydantic's `json_schema_extra`)."""
    if model.__name__ in EXAMPLES:
        schema["examples"] = [EXAMPLES[model.__name__]]
