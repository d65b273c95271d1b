"""Reading weights files: TorchScript without executing it, nothing unpickled, damage is an error."""

import io
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from clipsight.clip.checkpoint import Checkpoint
from clipsight.clip.layouts import OPENAI
from clipsight.clip.model import CLIP
from clipsight.clip.tensors import read_tensors
from clipsight.core.errors import CheckpointError
from tests.support.clip_weights import TINY_VIT, fill
from tests.support.properties import examples

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")]


class _Node(nn.Module):
    """A module to be scripted, with attributes of the kinds that scripted modules have."""

    names: list[str]
    counts: list[int]

    def __init__(self) -> None:
        super().__init__()
        self.names, self.counts, self.rate, self.on, self.nothing = ["a", "b"], [1, 2], 0.5, True, None

    def forward(self, x: Tensor) -> Tensor:
        return x


def _script(state: Mapping[str, Tensor], path: Path) -> None:
    """Write a TorchScript archive whose modules hold the tensors of `state`, as OpenAI's do."""
    root = _Node()
    for name, tensor in state.items():
        *parts, last = name.split(".")
        node: nn.Module = root
        for part in parts:
            if part not in node._modules:
                node.add_module(part, _Node())
            node = node.get_submodule(part)
        if tensor.is_floating_point():
            node.register_parameter(last, nn.Parameter(tensor))
        else:
            node.register_buffer(last, tensor)
    torch.jit.save(torch.jit.script(root), path)


def test_openais_torchscript_archives_load(tmp_path: Path) -> None:
    model, file = CLIP(TINY_VIT), tmp_path / "ViT-tiny.pt"
    fill(model)
    text = TINY_VIT.text_cfg
    state = {name: tensor.half() for name, tensor in OPENAI.from_ours(model.state_dict()).items()}
    sizes = {"input_resolution": 32, "context_length": text.context_length, "vocab_size": text.vocab_size}
    _script(state | {name: torch.tensor(size) for name, size in sizes.items()}, file)
    checkpoint = Checkpoint.read(file)
    assert checkpoint.tensors.keys() == state.keys()
    assert checkpoint.quick_gelu
    for name, tensor in state.items():
        assert torch.equal(checkpoint.tensors[name], tensor), name


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(12.0).reshape(3, 4)[1:, ::2],
        torch.arange(12.0).reshape(3, 4).T,
        torch.tensor(3),
        torch.zeros(0, 4),
        torch.ones(2, dtype=torch.float64),
        torch.ones(2, dtype=torch.bfloat16),
        torch.ones(2, dtype=torch.int32),
        torch.tensor([True, False]),
    ],
    ids=lambda tensor: f"{tensor.dtype}{list(tensor.stride())}",
)
def test_torchscript_tensors_of_any_layout_and_type(tensor: Tensor, tmp_path: Path) -> None:
    _script({"some.tensor": tensor, "other": torch.ones(1)}, tmp_path / "x.pt")
    found = read_tensors(tmp_path / "x.pt")["some.tensor"]
    assert found.dtype == tensor.dtype and torch.equal(found, tensor)


class _Bomb:
    """Creates `path` when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._path,)


def _archive(
    file: Path, content: Any, *members: tuple[str, bytes], compression: int = zipfile.ZIP_STORED
) -> None:
    """A TorchScript archive with `content` pickled in it."""
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("x/data.pkl", content if isinstance(content, bytes) else pickle.dumps(content, 2))
        archive.writestr("x/constants.pkl", pickle.dumps((), 2))
        for name, data in members:
            archive.writestr(f"x/{name}", data)


def _torch_file(file: Path, content: Any) -> None:
    torch.save(content, file)


def _old_torch_file(file: Path, content: Any) -> None:
    torch.save(content, file, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize("write", [_torch_file, _old_torch_file, _archive], ids=lambda each: each.__name__)
def test_no_code_in_a_file_is_executed(write: Any, tmp_path: Path) -> None:
    sign = tmp_path / "sign"
    write(tmp_path / "bomb.pt", {"state_dict": {"visual.x": _Bomb(sign)}})
    with pytest.raises(CheckpointError, match=r"bomb\.pt holds Python objects.*state_dict"):
        read_tensors(tmp_path / "bomb.pt")
    assert not sign.exists()
    pickle.loads(pickle.dumps(_Bomb(sign)))
    assert sign.exists()  # it would have been


def _pickled_tensor(count: int, size: tuple[int, ...], offset: int = 0) -> bytes:
    """The pickle of a module with one tensor "w" of a storage of `count` floats."""

    class Pickler(pickle._Pickler):
        def persistent_id(self, thing: Any) -> Any:
            return ("storage", torch.FloatStorage, "0", "cpu", count) if thing == "the storage" else None

    stream = io.BytesIO()
    stride = tuple([1] * len(size))
    arguments: tuple[object, ...] = ("the storage", offset, size, stride, False, {})
    rebuilt = type("Rebuilt", (), {"__reduce__": lambda self: (torch._utils._rebuild_tensor_v2, arguments)})
    Pickler(stream, 2).dump({"w": rebuilt()})
    body = stream.getvalue()[2:-1]
    return b"\x80\x02c__torch__\nX\n)\x81" + body + b"b."


def test_a_tensor_that_reaches_beyond_its_storage_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.pt"
    _archive(file, _pickled_tensor(4, (4,)), ("data/0", b"\0" * 16))
    assert read_tensors(file)["w"].tolist() == [0, 0, 0, 0]
    for pickled in (_pickled_tensor(4, (5,)), _pickled_tensor(4, (4,), 1), _pickled_tensor(4, (2,), -1)):
        _archive(file, pickled, ("data/0", b"\0" * 16))
        with pytest.raises(CheckpointError, match=r"x\.pt is damaged"):
            read_tensors(file)


def test_a_compressed_storage_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.pt"
    zeros = ("data/0", b"\0" * 1_000_000)
    _archive(file, _pickled_tensor(250_000, (250_000,)), zeros, compression=zipfile.ZIP_DEFLATED)
    assert file.stat().st_size < 10_000
    with pytest.raises(CheckpointError):
        read_tensors(file)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([torch.zeros(1)], "holds a list"),
        ({"epoch": 3, "w": torch.zeros(1)}, "its 'epoch' is a int"),
        (torch.zeros(3), "holds a Tensor"),
    ],
)
def test_a_file_of_another_kind_is_an_error_that_says_so(content: Any, said: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match=said):
        read_tensors(tmp_path / "x.pt")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is damaged"),
        (b"hello, world", "x.pt"),
        (b"PK\x03\x04", "x.pt"),
        (b"\xff" * 8 + b"{", "is damaged"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", "git lfs pull"),
    ],
)
def test_a_file_without_weights_is_an_error(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=said) as caught:
        read_tensors(tmp_path / "x.pt")
    assert "\n" not in str(caught.value)


def test_an_unreadable_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nowhere\.pt can't be read \(No such file"):
        read_tensors(tmp_path / "nowhere.pt")


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    state = {"visual.a": torch.arange(6.0).reshape(2, 3), "visual.b": torch.ones(2)}
    torch.save(state, folder / "torch")
    torch.save(state, folder / "old", _use_new_zipfile_serialization=False)
    _script(state, folder / "script")
    save_file(state, folder / "safe")
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@examples(150, HealthCheck.function_scoped_fixture)
@given(data=st.data())
@pytest.mark.parametrize("kind", ["torch", "old", "script", "safe"])
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_damaged_file_gives_tensors_or_a_clear_error(
    kind: str, whole_files: dict[str, bytes], tmp_path: Path, data: st.DataObject
) -> None:
    content = bytearray(whole_files[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file = tmp_path / "damaged"
    file.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    try:
        found = read_tensors(file)
    except CheckpointError as error:
        assert "\n" not in str(error)
    else:
        assert all(isinstance(tensor, Tensor) for tensor in found.values())
