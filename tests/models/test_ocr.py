"""The reader of text in photos, on a picture drawn here."""

import pytest
from PIL import Image, ImageDraw, ImageFont

from clipsight.core.errors import ModelError
from clipsight.models.ocr import MAX_SIDE, TextReader


@pytest.mark.slow
def test_a_line_is_read_with_its_box() -> None:
    pytest.importorskip("rapidocr")
    reader = TextReader().load()
    picture = Image.new("RGB", (600, 300), "white")
    ImageDraw.Draw(picture).text((60, 200), "CLUB MONACO", "black", ImageFont.load_default(48))
    (line,) = reader.read(picture)
    assert line.text == "CLUB MONACO" and line.confidence > 0.9
    assert 0.05 < line.left < 0.15 and 0.55 < line.top < 0.75 and line.right < 0.9 and line.bottom < 0.95
    wide = picture.resize((2 * MAX_SIDE, MAX_SIDE))
    (large,) = reader.read(wide)
    assert large.text == line.text and wide.size == (2 * MAX_SIDE, MAX_SIDE)
    assert abs(large.left - line.left) < 0.05 and abs(large.bottom - line.bottom) < 0.05
    assert reader.read(Image.new("RGB", (300, 300), "white")) == ()
    for size in ((1, 1), (3000, 1), (1, 3000), (33, 9)):
        assert reader.read(Image.new("RGB", size, "white")) == ()


def test_an_installation_without_models_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import types

    empty = types.SimpleNamespace(__file__="/nowhere/rapidocr/__init__.py")
    monkeypatch.setattr("clipsight.models.ocr.require", lambda *_: empty)
    with pytest.raises(ModelError, match=r"has no \*_det_\*.onnx in /nowhere/rapidocr/models"):
        TextReader()
    monkeypatch.setattr("clipsight.models.ocr._model", lambda folder, pattern: folder / "absent.onnx")
    broken = types.SimpleNamespace(__file__="/nowhere/rapidocr/__init__.py", RapidOCR=_fails)
    monkeypatch.setattr("clipsight.models.ocr.require", lambda *_: broken)
    with pytest.raises(ModelError, match=r"can't load its models \(no such file\): install it again"):
        TextReader().load()


def _fails(params: object) -> None:
    raise RuntimeError("Traceback\nno such file")
