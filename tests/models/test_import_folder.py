"""A model's folder from elsewhere: checked, named as in the registry, and moved into place as a whole."""

import os
import shutil
from pathlib import Path

import pytest

from clipsight.core.errors import ModelError
from clipsight.models.folder import ModelFolder
from clipsight.models.import_folder import import_folder
from clipsight.models.registry import list_models, locate
from tests.support.hub_server import files_of
from tests.support.tiny_models import make_model_folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A model as it came from another machine, with files that do not belong to it."""
    folder = make_model_folder(tmp_path / "stick" / "my-clip", name=None)
    (folder / "README.md").write_text("a model")
    (folder / "visual" / "fp16").mkdir()
    (folder / "visual" / "fp16" / "model.armnn").write_bytes(b"for another runtime")
    return folder


def own_files(folder: Path) -> dict[str, bytes]:
    files = files_of(folder)
    return {name: files[name] for name in files if "fp16" not in name and name != "README.md"}


def test_the_files_of_the_model_are_copied(source: Path, home: Path) -> None:
    folder = import_folder(source)
    assert folder == home / "models" / "my-clip" == locate("my-clip")
    assert files_of(folder) == own_files(source)
    assert [each.name for each in list_models() if each.on_disk] == ["builtin", "my-clip"]
    assert [file.name for file in (home / "models" / ".partial").iterdir()] == ["my-clip.lock"]


def test_a_folder_can_be_linked_instead_of_copied(
    source: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(source.parent)
    folder = import_folder("my-clip", symlink=True)
    assert folder.is_symlink() and folder.resolve() == source
    assert locate("my-clip") == folder


@pytest.mark.parametrize(
    ("path", "config_name", "name", "expected"),
    [
        ("ViT-B-32__openai", None, None, "ViT-B-32__openai"),
        ("vit-b-32--openai", None, None, "ViT-B-32__openai"),
        ("x", "ViT-B-32__openai", None, "ViT-B-32__openai"),
        ("x", "my own", "mine", "mine"),
        ("x", None, "openai/clip-vit-base-patch32", "ViT-B-32__openai"),
        ("models--immich-app--RN50__openai/snapshots/0123abc", None, None, "RN50__openai"),
        ("models--someone--clip/snapshots/0123abc", None, None, "0123abc"),
    ],
)
def test_the_name_of_an_imported_folder_is_the_published_one(
    path: str, config_name: str | None, name: str | None, expected: str, tmp_path: Path
) -> None:
    folder = import_folder(make_model_folder(tmp_path / path, name=config_name), name)
    assert folder.name == expected and locate(expected) == folder


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".hidden", "a/b", "/tmp/x", "builtin", "Builtin", "a\nb", "a b"]
)
def test_invalid_names_for_models(name: str, source: Path, home: Path) -> None:
    with pytest.raises(ModelError, match="can't be a model's name: choose a `name`"):
        import_folder(source, name)
    assert not (home / "models").exists()


def test_a_name_that_is_taken(source: Path) -> None:
    folder = import_folder(source)
    before = files_of(folder)
    other = make_model_folder(source.with_name("other"), name="my-clip", seed=3)
    with pytest.raises(ModelError, match=f"{folder} exists already: delete that folder, or choose another"):
        import_folder(other)
    assert files_of(folder) == before
    assert import_folder(folder) == folder  # itself


def break_model(folder: Path, how: str) -> None:
    match how:
        case "no such folder":
            shutil.rmtree(folder)
        case "missing":
            (folder / "textual" / "tokenizer.json").unlink()
        case "lfs":
            (folder / "visual" / "model.onnx").write_text("version https://git-lfs.github.com/spec/v1\n")
        case "cut":
            file = folder / "visual" / "model.onnx"
            file.write_bytes(file.read_bytes()[:-100])
        case "text cut":
            file = folder / "textual" / "model.onnx"
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        case "tokenizer":
            (folder / "textual" / "tokenizer.json").write_text("{}")
        case "config":
            (folder / "config.json").write_text('{"embed_dim": 7}')


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("no such folder", "no model folder at"),
        ("missing", r"textual/tokenizer\.json is missing"),
        ("lfs", "is a Git LFS pointer"),
        ("cut", "visual/model.onnx"),
        ("text cut", "textual/model.onnx"),
        ("tokenizer", "textual/tokenizer.json can't be read"),
        ("config", "7"),
    ],
)
def test_a_broken_model_is_refused_in_one_line(how: str, told: str, source: Path, home: Path) -> None:
    break_model(source, how)
    with pytest.raises(ModelError, match=told) as caught:
        import_folder(source)
    assert "\n" not in str(caught.value)
    assert not (home / "models").exists()


def test_an_interruption_leaves_nothing(source: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[str] = []

    def copy(file: Path, target: Path) -> None:
        if len(copied) == 3:
            raise KeyboardInterrupt
        copied.append(file.name)
        target.write_bytes(file.read_bytes())

    with monkeypatch.context() as context:
        context.setattr(shutil, "copyfile", copy)
        with pytest.raises(KeyboardInterrupt):
            import_folder(source)
    assert [file.name for file in (home / "models").rglob("*")] == [".partial", "my-clip.lock"]
    stale = home / "models" / ".partial" / "my-clip.new" / "visual"
    stale.mkdir(parents=True)  # what `kill -9` leaves
    (stale / "old.bin").touch()
    assert files_of(import_folder(source)) == own_files(source)


def test_a_full_disk_is_one_line(source: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def copy(file: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", copy)
    with pytest.raises(ModelError, match=r"the disk of .* is full, so my-clip could not be completed"):
        import_folder(source)
    assert not (home / "models" / "my-clip").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_can_not_be_written(source: Path, home: Path) -> None:
    home.chmod(0o500)
    with pytest.raises(ModelError, match="can't be written"):
        import_folder(source)


def test_external_weights_are_copied_too(source: Path) -> None:
    (source / "visual" / "model.onnx.data").write_bytes(b"weights")
    assert (import_folder(source) / "visual" / "model.onnx.data").read_bytes() == b"weights"
    assert ModelFolder.read(locate("my-clip")).fingerprint() == ModelFolder.read(source).fingerprint()
