"""Encoder: one photo or text gives one vector, several give rows, whatever their type."""

import io
from pathlib import Path
from typing import Any, assert_type

import numpy as np
import pytest
from PIL import Image

from clipsight import Encoder, Library
from clipsight.core.errors import ModelError, PhotoError
from clipsight.encoder import Vector, Vectors
from tests.support.hub_server import HubServer, files_of
from tests.support.samples import SAMPLES

CAT, ROCKET = SAMPLES["cat.png"], SAMPLES["rocket.jpg"]


@pytest.fixture(scope="module")
def encoder(tiny_model: Path) -> Encoder:
    return Encoder.open(tiny_model)


@pytest.mark.slow
def test_models_are_opened_by_name_and_by_folder(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    builtin = Encoder.open()
    assert (builtin.name, Encoder.open(" BuiltIn ").name) == ("builtin", "builtin")
    scores = builtin.encode_texts(["a cat", "a rocket"]) @ builtin.encode_image(CAT)
    assert scores[0] > scores[1]
    assert Encoder.open(str(tiny_model), threads=1).threads == 1
    monkeypatch.chdir(tiny_model.parent)
    (tiny_model.parent / "builtin").symlink_to(tiny_model)
    assert Encoder.open(Path("builtin")).dim == Encoder.open("./builtin").dim == 32
    with Library(tiny_model.parent / "library", Path(tiny_model.name)) as library:
        assert (library.model, type(library.encoder)) == ("tiny", Encoder)
    for wrong in ("bultin", "./nowhere", Path("nowhere"), "", 3, None):
        with pytest.raises(ModelError) as caught:
            Encoder.open(wrong)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_download_is_announced(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    lines: list[str] = []
    with HubServer({"immich-app/ViT-B-32__openai": files_of(tiny_model)}) as hub:
        hub.connect(monkeypatch)
        assert Encoder.open("openai/clip-vit-base-patch32", note=lines.append).dim == 32
        assert Encoder.open("ViT-B/32").dim == 32
    (line,) = lines
    assert line.startswith("downloading ViT-B-32__openai (") and line.endswith(
        str(home / "models/ViT-B-32__openai")
    )
    assert capsys.readouterr().err == ""  # the second time it was there
    with HubServer({"immich-app/RN50__openai": files_of(tiny_model)}) as hub:
        hub.connect(monkeypatch)
        Encoder.open("RN50")
    assert capsys.readouterr().err.startswith("clipsight: downloading RN50__openai (")


def test_one_text_gives_one_vector_and_several_give_rows(encoder: Encoder) -> None:
    one = encoder.encode_text("a cat")
    several = encoder.encode_texts(["a cat", "a rocket"])
    assert_type(one, Vector)
    assert_type(several, Vectors)
    assert (one.shape, several.shape) == ((32,), (2, 32)) and one.dtype == np.float32
    np.testing.assert_allclose(one, several[0], atol=1e-6)
    np.testing.assert_allclose(encoder.encode_texts("a cat"), one, atol=1e-6)
    np.testing.assert_allclose(encoder.encode_text(iter(["a cat", "a rocket"])), several, atol=1e-6)
    assert encoder.encode_texts(["a cat"]).shape == (1, 32) and encoder.encode_texts([]).shape == (0, 32)
    assert encoder.truncated("cat " * 100) == (True,) and encoder.truncated(["a", "b"]) == (False, False)
    wrong: Any
    for wrong in (3, None, [3], b"cat", [b"cat"], CAT):
        with pytest.raises(ModelError, match="`texts` takes texts, not"):
            encoder.encode_texts(wrong)


def test_one_photo_gives_one_vector_and_several_give_rows(encoder: Encoder) -> None:
    with Image.open(CAT) as image:
        pixels = np.asarray(image.convert("RGB"))
        one = encoder.encode_image(CAT)
        assert_type(one, Vector)
        assert one.shape == (32,) and one.dtype == np.float32
        for form in (str(CAT), CAT.read_bytes(), io.BytesIO(CAT.read_bytes()), image, pixels, one, 3 * one):
            np.testing.assert_allclose(encoder.encode_images(form), one, atol=1e-5)
    several = encoder.encode_images([CAT, ROCKET, one])
    assert_type(several, Vectors)
    np.testing.assert_allclose(several[[0, 2]], [one, one], atol=1e-5)
    assert several[1] @ one < 0.999
    assert encoder.encode_images([CAT]).shape == encoder.encode_image((CAT,)).shape == (1, 32)
    assert encoder.encode_images([]).shape == (0, 32)
    np.testing.assert_allclose(encoder.encode_images(pixels[None]), [one], atol=1e-5)
    np.testing.assert_allclose(encoder.encode_images(several), several, atol=1e-6)
    assert encoder.encode_images(several[:1]).shape == encoder.encode_images(pixels[None]).shape == (1, 32)


def test_the_photo_that_can_not_be_embedded_is_named(encoder: Encoder, tmp_path: Path) -> None:
    wrong: list[tuple[Any, str]] = [
        ([CAT, tmp_path / "no.jpg"], "can't use the picture .*no.jpg: can't be read: No such file"),
        ([CAT, b"Dear Sir"], "can't use the picture photo 2: not an image"),
        ([CAT, np.ones(7)], "photo 2 has 7 numbers, a vector of tiny has 32"),
        ([CAT, 3], "photo 2 is of type int"),
        (3, "`images` is of type int"),
        (np.zeros((4, 4, 2), np.uint8), r"photo 1 is an array uint8\[4, 4, 2\]"),
    ]
    for given, says in wrong:
        with pytest.raises(PhotoError, match=says):
            encoder.encode_images(given)
