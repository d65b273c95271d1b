"""Text in photos, read by RapidOCR (the extra `ocr`) with the PP-OCR models inside its wheel.

Text is first looked for in a reduced picture; only what is found there is cut out of the larger one and
recognised, so that photos without text cost little. Models are named by their files: RapidOCR downloads none.
"""

from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np
from PIL import Image

from clipsight.core.cached_property import locked_cached_property
from clipsight.core.errors import ModelError
from clipsight.core.extras import require
from clipsight.core.text import TextLine

DETECTED_SIDE = 736
"""Long side in pixels of the picture in which text is looked for."""

MAX_SIDE = 2560
"""Long side in pixels of the picture from which text is recognised."""

MIN_CONFIDENCE = 0.7
"""Mean probability of a line's characters from which it counts as read."""

_MIN_SIDE = 8
"""Pixels of a picture's short side from which text is looked for."""

_DETECTOR, _RECOGNISER = "*_det_*.onnx", "*_rec_*.onnx"


class TextReader:
    """The models that find and recognise text, loaded by `load`; any number of threads may use it.

    Each call computes on one core. Raises `ModelError` without RapidOCR, or if its models are not where its
    wheel has them.
    """

    def __init__(self) -> None:
        self._lock = RLock()
        self._rapidocr = require("ocr", "rapidocr")
        folder = Path(self._rapidocr.__file__).parent / "models"
        self._models = {kind: _model(folder, kind) for kind in (_DETECTOR, _RECOGNISER)}

    @locked_cached_property
    def _engine(self) -> Any:
        settings = {
            "Global.log_level": "critical",
            "Global.use_cls": False,  # photos are upright
            "Global.max_side_len": MAX_SIDE,
            "Global.text_score": MIN_CONFIDENCE,
            "Det.model_path": str(self._models[_DETECTOR]),
            "Det.limit_type": "max",
            "Det.limit_side_len": DETECTED_SIDE,
            "Rec.model_path": str(self._models[_RECOGNISER]),
            "Rec.rec_batch_num": 1,  # on one core as fast as more, with a sixth of the memory
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
        engine = self._rapidocr.RapidOCR(params=settings)
        engine(np.zeros((64, 64, 3), np.uint8))  # which loads the detector
        return engine

    def load(self) -> "TextReader":
        """Load the models, and return the reader. Raises `ModelError`."""
        try:
            _ = self._engine
        except Exception as error:  # of ONNX Runtime and RapidOCR
            raise ModelError(
                f"RapidOCR can't load its models ({_last_line(error)}): install it again"
            ) from error
        return self

    def read(self, image: Image.Image) -> tuple[TextLine, ...]:
        """The lines of text in an upright RGB picture, in the order of reading. Empty if there are none."""
        if max(image.size) > MAX_SIDE:
            image = image.copy()
            image.thumbnail((MAX_SIDE, MAX_SIDE))
        if min(image.size) < _MIN_SIDE:
            return ()
        found = self._engine(np.asarray(image)[..., ::-1])
        if getattr(found, "txts", None) is None:  # nothing was found, or nothing recognised
            return ()
        boxes = (np.asarray(corners) / image.size for corners in found.boxes)
        return tuple(map(_line, found.txts, found.scores, boxes))


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


def _line(text: str, confidence: float, corners: np.ndarray[Any, Any]) -> TextLine:
    """A line, with the upright box around the four `corners`, float[4, 2] of shares."""
    corners = corners.clip(0, 1)
    return TextLine(text, float(confidence), *corners.min(0).tolist(), *corners.max(0).tolist())


def _model(folder: Path, pattern: str) -> Path:
    """The model in RapidOCR's wheel. Raises `ModelError` if there is none."""
    found = sorted(folder.glob(pattern))
    if not found:
        raise ModelError(
            f"RapidOCR's wheel has no {pattern} in {folder}: install another version of rapidocr"
        )
    return found[-1]
