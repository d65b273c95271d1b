"""A model folder is read, checked part by part, and fingerprinted."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsight.core.errors import ModelError
from clipsight.models.folder import ModelFolder, model_files
from tests.support.properties import examples
from tests.support.tiny_models import add_multilingual_tower, make_model_folder

PARTS = [
    "config.json",
    "visual/model.onnx",
    "visual/preprocess_cfg.json",
    "textual/model.onnx",
    "textual/tokenizer.json",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_model_folder(tmp_path / "tiny-model")


@pytest.fixture
def a_minute_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what has not changed just now may be remembered."""
    later = time.time() + 60
    monkeypatch.setattr(time, "time", lambda: later)


def change_config(folder: Path, **fields: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | fields))


def test_a_published_folder_is_read(folder: Path) -> None:
    model = ModelFolder.read(folder)
    assert (model.path, model.name) == (folder, "tiny-model")
    assert (model.embed_dim, model.context_length) == (32, 77)
    assert model.preprocess.size == (32, 32)
    assert (model.logit_scale, model.logit_scale_assumed, model.logit_bias) == (100.0, True, None)
    assert (model.license, model.provenance) == (None, None)
    assert (dict(model.tokenizer_kwargs), dict(model.figures)) == ({}, {})
    assert model.pad_to_context is False


def test_the_clipsight_block_of_a_config_is_read(tmp_path: Path) -> None:
    own = {
        "name": "mine",
        "logit_scale": 21.5,
        "logit_bias": -12.9,
        "license": "MIT",
        "provenance": "made here",
        "figures": {"recall@10": 0.5},
    }
    model = ModelFolder.read(make_model_folder(tmp_path / "m", clipsight=own))
    assert (model.name, model.license, model.provenance) == ("mine", "MIT", "made here")
    assert (model.logit_scale, model.logit_scale_assumed, model.logit_bias) == (21.5, False, -12.9)
    assert model.figures == {"recall@10": 0.5}


def test_a_siglip_folder(tmp_path: Path) -> None:
    text = {"context_length": 64, "tokenizer_kwargs": {"clean": "canonicalize"}, "no_causal_mask": True}
    path = make_model_folder(tmp_path / "m", config={"init_logit_bias": -10}, text_config=text)
    model = ModelFolder.read(path)
    assert (model.context_length, model.tokenizer_kwargs) == (64, {"clean": "canonicalize"})
    assert (model.logit_scale, model.logit_scale_assumed, model.logit_bias) == (100.0, True, -10.0)
    assert model.pad_to_context is True


def test_the_default_context_is_that_of_clip(tmp_path: Path) -> None:
    model = ModelFolder.read(make_model_folder(tmp_path / "m", text_config={"context_length": None}))
    assert model.context_length == 77


def test_the_name_of_the_folder_dot(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert ModelFolder.read(Path(".")).name == "tiny-model"


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model folder at .*nowhere"):
        ModelFolder.read(tmp_path / "nowhere")


@pytest.mark.parametrize("part", PARTS)
def test_a_missing_part_is_named(folder: Path, part: str) -> None:
    (folder / part).unlink()
    with pytest.raises(ModelError) as caught:
        ModelFolder.read(folder)
    assert f"{folder}: {part} is missing" in str(caught.value)


@pytest.mark.parametrize("part", PARTS)
def test_an_empty_part_is_named(folder: Path, part: str) -> None:
    (folder / part).write_bytes(b"")
    with pytest.raises(ModelError, match=f"{part} is empty"):
        ModelFolder.read(folder)


def test_a_file_of_the_model_that_is_a_folder(folder: Path) -> None:
    (folder / "visual" / "model.onnx").unlink()
    (folder / "visual" / "model.onnx").mkdir()
    with pytest.raises(ModelError, match=r"visual/model\.onnx can't be read"):
        ModelFolder.read(folder)


def test_a_git_lfs_pointer(folder: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    (folder / "textual" / "model.onnx").write_bytes(pointer)
    with pytest.raises(ModelError, match=r"textual/model\.onnx is a Git LFS pointer"):
        ModelFolder.read(folder)


@pytest.mark.parametrize("part", ["config.json", "visual/preprocess_cfg.json"])
@pytest.mark.parametrize(
    ("content", "says"), [(b"{", "not JSON"), (b"[]", "not a JSON object"), (b"\xff\xfe", "not JSON")]
)
def test_a_damaged_json_file_is_named(folder: Path, part: str, content: bytes, says: str) -> None:
    (folder / part).write_bytes(content)
    with pytest.raises(ModelError, match=f"{part} is {says}"):
        ModelFolder.read(folder)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"embed_dim": None}, "no embed_dim"),
        ({"embed_dim": "512"}, "embed_dim = '512'"),
        ({"embed_dim": 0}, "embed_dim = 0"),
        ({"embed_dim": True}, "embed_dim = True"),
        ({"text_cfg": []}, "text_cfg = []"),
        ({"text_cfg": {"context_length": -1}}, "context_length = -1"),
        ({"text_cfg": {"tokenizer_kwargs": "clean"}}, "tokenizer_kwargs = 'clean'"),
        ({"clipsight": {"logit_scale": "high"}}, "logit_scale = 'high'"),
        ({"clipsight": {"logit_scale": 0}}, "logit_scale 0"),
        ({"clipsight": {"logit_bias": False}}, "logit_bias = False"),
        ({"clipsight": {"figures": 3}}, "figures = 3"),
    ],
)
def test_a_mismatching_field_is_named(folder: Path, fields: dict[str, object], says: str) -> None:
    change_config(folder, **fields)
    with pytest.raises(ModelError) as caught:
        ModelFolder.read(folder)
    assert str(folder) in str(caught.value)
    assert says in str(caught.value)


def test_an_unknown_preprocess_value_is_an_error_with_folder_and_field(folder: Path) -> None:
    (folder / "visual" / "preprocess_cfg.json").write_text('{"resize_mode": "crop"}')
    with pytest.raises(ModelError) as caught:
        ModelFolder.read(folder)
    assert str(folder) in str(caught.value)
    assert "'resize_mode' is 'crop'; it may be shortest, squash, longest" in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = ["embed_dim", "text_cfg", "clipsight", "init_logit_bias", "logit_scale", "context_length", "name"]


@examples(60)
@given(config=st.dictionaries(st.sampled_from(FIELDS), JSON | st.dictionaries(st.sampled_from(FIELDS), JSON)))
@pytest.mark.slow
def test_any_config_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, config: dict[str, object]
) -> None:
    folder = make_model_folder(tmp_path_factory.getbasetemp() / "any-config")
    (folder / "config.json").write_text(json.dumps(config))
    try:
        assert ModelFolder.read(folder).embed_dim == config["embed_dim"]
    except ModelError as error:
        assert str(error).startswith(f"model folder {folder}: ")


def test_equal_folders_have_equal_fingerprints(tmp_path: Path) -> None:
    first = make_model_folder(tmp_path / "a", clipsight={"figures": {"recall": 1}})
    second = make_model_folder(tmp_path / "b", clipsight={"license": "MIT"})
    other = make_model_folder(tmp_path / "c", seed=1)
    fingerprints = [ModelFolder.read(path).fingerprint() for path in (first, second, other)]
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]
    assert len(fingerprints[0]) == 32 and int(fingerprints[0], 16)


@pytest.mark.parametrize("part", PARTS[1:])
def test_the_fingerprint_depends_on_every_file_that_determines_vectors(folder: Path, part: str) -> None:
    model = ModelFolder.read(folder)
    before = model.fingerprint()
    content = (folder / part).read_bytes()
    (folder / part).write_bytes(content + b" ")
    assert model.fingerprint() != before
    (folder / part).write_bytes(content)
    assert model.fingerprint() == before


def test_the_fingerprint_depends_on_names_but_not_on_other_files(folder: Path) -> None:
    model = ModelFolder.read(folder)
    before = model.fingerprint()
    (folder / "README.md").write_text("about")
    (folder / "visual" / ".DS_Store").write_text("litter")
    (folder / "visual" / "model.armnn").write_text("for other runtimes")
    (folder / "visual" / "rknpu").mkdir()
    (folder / "visual" / "rknpu" / "model.rknn").write_text("for other runtimes")
    assert model.fingerprint() == before
    (folder / "visual" / "model.onnx.data").write_text("weights")
    assert model.fingerprint() != before


def test_unchanged_files_are_hashed_once(folder: Path, home: Path, a_minute_later: None) -> None:
    model = ModelFolder.read(folder)
    fingerprint = model.fingerprint()
    remembered = json.loads((home / "fingerprints.json").read_text())
    assert len(remembered) == 5
    poisoned = dict.fromkeys(remembered, "0" * 32)
    (home / "fingerprints.json").write_text(json.dumps(poisoned))
    assert model.fingerprint() != fingerprint
    assert list(home.iterdir()) == [home / "fingerprints.json"]


def test_a_change_within_the_resolution_of_the_clock_is_noticed(folder: Path, home: Path) -> None:
    model, file = ModelFolder.read(folder), folder / "visual" / "model.onnx"
    before = model.fingerprint()
    assert not (home / "fingerprints.json").exists()
    state = file.stat()
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert model.fingerprint() != before


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"a": 1}', "\x00"])
def test_a_damaged_fingerprint_cache_is_replaced(
    folder: Path, home: Path, content: str, a_minute_later: None
) -> None:
    model = ModelFolder.read(folder)
    expected = model.fingerprint()
    assert (home / "fingerprints.json").exists()
    (home / "fingerprints.json").write_text(content)
    assert model.fingerprint() == expected
    assert len(json.loads((home / "fingerprints.json").read_text())) == 5


def test_a_fingerprint_cache_that_can_not_be_written(
    folder: Path, home: Path, a_minute_later: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ModelFolder.read(folder)
    expected = model.fingerprint()
    (home / "a file").write_text("")
    monkeypatch.setenv("CLIPSIGHT_HOME", str(home / "a file" / "below"))
    assert model.fingerprint() == expected


def test_the_fingerprint_cache_stays_small(folder: Path, home: Path, a_minute_later: None) -> None:
    (home / "fingerprints.json").write_text(json.dumps({f"old {n}": "0" for n in range(2000)}))
    ModelFolder.read(folder).fingerprint()
    remembered = json.loads((home / "fingerprints.json").read_text())
    assert len(remembered) == 512
    assert sum(key.startswith("old") for key in remembered) == 507


def test_a_folder_that_was_deleted_meanwhile(folder: Path) -> None:
    model = ModelFolder.read(folder)
    shutil.rmtree(folder / "visual")
    with pytest.raises(ModelError, match="a part can't be read"):
        model.fingerprint()


def test_which_files_of_a_repository_make_a_model() -> None:
    names = [
        ".gitattributes",
        "README.md",
        "config.json",
        "textual/model.onnx",
        "textual/model.onnx.data",
        "textual/fp16/model.armnn",
        "textual/.hidden",
        "textual/tokenizer.json",
        "visual/model.armnn",
        "visual/model.onnx",
        "visual/model.rknn",
        "visual/preprocess_cfg.json",
        "visual/rknpu/rk3588/model.rknn",
        "visual",
        "other/model.onnx",
        "nested/config.json",
    ]
    assert model_files(names) == [
        "config.json",
        "textual/model.onnx",
        "textual/model.onnx.data",
        "textual/tokenizer.json",
        "visual/model.onnx",
        "visual/preprocess_cfg.json",
    ]


def test_languages_are_a_list_of_codes(tmp_path: Path) -> None:
    def read(value: object) -> tuple[str, ...]:
        return ModelFolder.read(make_model_folder(tmp_path / "m", clipsight={"languages": value})).languages

    assert (read(None), read(["en", "zh"])) == ((), ("en", "zh"))
    for value in ("en", [1], {"en": 1}):
        with pytest.raises(ModelError, match=r"languages = .*; it must be a list of codes"):
            read(value)


@pytest.mark.parametrize("part", ["model.onnx", "tokenizer.json", "english.txt"])
def test_a_second_text_tower_is_checked_part_by_part(folder: Path, part: str) -> None:
    assert not ModelFolder.read(folder).is_multilingual
    add_multilingual_tower(folder, ["dog"])
    assert ModelFolder.read(folder).is_multilingual
    (folder / "multilingual" / part).unlink()
    with pytest.raises(ModelError, match=f"multilingual/{part} is missing"):
        ModelFolder.read(folder)


def test_a_second_text_tower_is_part_of_the_content(folder: Path) -> None:
    before = ModelFolder.read(folder)
    assert before.content_hash() == before.fingerprint()
    hashes = {before.content_hash()}
    after = ModelFolder.read(add_multilingual_tower(folder, ["dog"]))
    assert after.fingerprint() == after.content_hash()
    hashes.add(after.content_hash())
    (folder / "multilingual" / "english.txt").write_text("cat")
    assert len(hashes | {after.content_hash()}) == 3


def test_vectors_of_photos_outlive_a_change_of_the_text_side(folder: Path) -> None:
    old = ModelFolder.read(folder)
    identity = {"visual": old.visual_hash(), "fingerprint": old.fingerprint()}
    change_config(folder, clipsight={"photo_identity": identity})
    new = ModelFolder.read(add_multilingual_tower(folder, ["dog"]))
    assert new.fingerprint() == old.fingerprint()
    assert new.content_hash() != old.content_hash()

    with (folder / "visual" / "model.onnx").open("ab") as file:  # another image tower: the claim is void
        file.write(b"\n")
    changed = ModelFolder.read(folder)
    assert changed.fingerprint() == changed.content_hash() != old.fingerprint()


@pytest.mark.parametrize(
    "identity", [{"visual": 1}, {"fingerprint": "ab"}, {"visual": "a", "fingerprint": 2}]
)
def test_an_identity_of_photos_needs_both_hashes(folder: Path, identity: object) -> None:
    change_config(folder, clipsight={"photo_identity": identity})
    with pytest.raises(ModelError, match="photo_identity needs the texts visual and fingerprint"):
        ModelFolder.read(folder)
