"""Safe reading of weights files: tensors by name, without running any code in the file.

safetensors files hold tensors only. PyTorch's files are pickles: `weights_only=True` reads those that hold
tensors and plain values. TorchScript archives (OpenAI's first release of CLIP) are read by a restricted
unpickler that allows tensors and containers; the code in them is ignored.
"""

import io
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from clipsight.core.errors import CheckpointError


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a .safetensors, .bin, .pt or .pth file: tensors by name, on the CPU, in the file's dtypes.

    For a training checkpoint, its "state_dict" is returned, without DistributedDataParallel's prefix
    "module.". Raises CheckpointError.
    """
    try:
        return _without_prefix(_read(path))
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(f"{path} can't be read ({error.strerror or error})") from error
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} holds Python objects beside tensors, or is damaged; objects could run code, so they are "
            f"not loaded: save the model's state_dict() alone, best as .safetensors"
        ) from error
    except Exception as error:  # the readers raise anything for a damaged file
        detail = str(error).strip().partition("\n")[0][:120] or type(error).__name__
        raise CheckpointError(
            f"{path} is damaged or no weights file ({detail}); download it again"
        ) from error


def _read(path: Path) -> dict[str, Tensor]:
    with path.open("rb") as stream:
        start = stream.read(9)
    if start.startswith(b"version h"):  # ttps://git-lfs.github.com/spec/v1
        raise CheckpointError(f"{path} is a Git LFS pointer, not the weights; run `git lfs pull` there")
    if start[8:] == b"{":  # safetensors: a JSON header follows its length
        return load_file(path)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            code = [name for name in archive.namelist() if name.endswith("/constants.pkl")]
            if code:
                return dict(_TorchScript(archive, code[0].removesuffix("constants.pkl")).tensors())
    return _state_dict(torch.load(path, map_location="cpu", weights_only=True), path)


def _state_dict(content: Any, path: Path) -> dict[str, Tensor]:
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not a state dict of tensors")
    for name, value in content.items():
        if not isinstance(value, Tensor):
            kind = type(value).__name__
            raise CheckpointError(f"{path} is no state dict: its {name!r} is a {kind}, not a tensor")
    return {str(name): value for name, value in content.items()}


def _without_prefix(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    if all(name.startswith("module.") for name in tensors):
        return {name.removeprefix("module."): value for name, value in tensors.items()}
    return tensors


class _Module:
    """Placeholder for a TorchScript module; unpickling sets its attributes."""


class _TorchScript(pickle.Unpickler):
    """Restricted unpickler of the `data.pkl` and `data/` of a TorchScript archive."""

    def __init__(self, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(io.BytesIO(archive.read(f"{folder}data.pkl")))
        self._archive, self._folder = archive, folder

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Yield every tensor among the modules' attributes, with its key in a state dict."""
        return _tensors_in(self.load(), "")

    def find_class(self, module: str, name: str) -> Any:
        """Replacement of a global. Raises UnpicklingError for one that is not allowed."""
        if module == "__torch__" or module.startswith("__torch__."):
            return _Module
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is not a tensor's") from None

    def persistent_load(self, pid: Any) -> Tensor:
        """Storage of a tensor, as a one-dimensional tensor."""
        _, dtype, key, *_ = pid
        member = self._archive.getinfo(f"{self._folder}data/{key}")
        if member.compress_type != zipfile.ZIP_STORED:  # not written by PyTorch: perhaps a zip bomb
            raise pickle.UnpicklingError(f"{member.filename} is compressed")
        content = bytearray(self._archive.read(member))
        return torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)


def _tensors_in(module: Any, prefix: str) -> Iterator[tuple[str, Tensor]]:
    for name, value in vars(module).items():
        if isinstance(value, Tensor):
            yield prefix + name, value
        elif isinstance(value, _Module):
            yield from _tensors_in(value, f"{prefix}{name}.")


def _tensor(storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    return storage.as_strided(size, stride, offset)  # checks the bounds of the storage


def _value(value: Any, *_: Any) -> Any:
    return value


# Globals allowed in the pickle, each with its replacement.
_ALLOWED: dict[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("collections", "OrderedDict"): dict,
    ("torch", "HalfStorage"): torch.float16,
    ("torch", "BFloat16Storage"): torch.bfloat16,
    ("torch", "FloatStorage"): torch.float32,
    ("torch", "DoubleStorage"): torch.float64,
    ("torch", "LongStorage"): torch.int64,
    ("torch", "IntStorage"): torch.int32,
    ("torch", "BoolStorage"): torch.bool,
    ("torch.jit._pickle", "restore_type_tag"): _value,
    ("torch.jit._pickle", "build_intlist"): _value,
    ("torch.jit._pickle", "build_doublelist"): _value,
    ("torch.jit._pickle", "build_boollist"): _value,
    ("torch.jit._pickle", "build_tensorlist"): _value,
}
