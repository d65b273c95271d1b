"""An ONNX file without its weights: the same graph, whose weights are said to lie in that very file.

ONNX Runtime parses a model file through protobuf, which copies every weight: half a second and twice
the memory for the text tower of ViT-B/32, at each start of a process. Weights that are *external data*
it maps from their file instead. ONNX's format lets a tensor's external data be any range of any file
(https://onnx.ai/onnx/repo-docs/ExternalData.html), so the graph can name the ranges of the file that it
came from: nothing is written, and a graph of kilobytes is all that has to be parsed.

Only the few fields of `onnx.proto` that lead to the weights are known here; all others are copied as
they are.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FOLDER_OPTION = "session.model_external_initializers_file_folder_path"
"""The session option that tells ONNX Runtime where external data lies when a graph comes as bytes."""

_LARGE = 1024
"""Weights of fewer bytes stay in the graph: shapes and axes, which are read while it is loaded."""

# Field numbers of onnx.proto.
_MODEL_GRAPH, _GRAPH_INITIALIZER = 7, 5
_TENSOR_RAW_DATA, _TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION = 9, 13, 14
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_EXTERNAL = 1

# Wire types of protobuf (https://protobuf.dev/programming-guides/encoding/).
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_SIZE = {_FIXED64: 8, _FIXED32: 4}


class _Field(NamedTuple):
    """One field of a message: its number, where it starts and ends, and where its value starts."""

    number: int
    start: int
    value: int
    end: int


def graph_without_weights(file: Path) -> bytes | None:
    """The model in `file`, its large weights replaced by references into `file`; for a session made
    with `FOLDER_OPTION` set to the file's folder.

    None where the file is not understood or has nothing to gain, and is best loaded as it is.
    """
    try:
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _model(data, file.name)
    except (OSError, ValueError, IndexError):  # ONNX Runtime will tell what is wrong with it
        return None


def _model(data: mmap.mmap, name: str) -> bytes:
    out = bytearray()
    for field in _fields(data, 0, len(data)):
        if field.number == _MODEL_GRAPH:
            out += _message(_MODEL_GRAPH, _graph(data, field, name))
        else:
            out += data[field.start : field.end]
    return bytes(out)


def _graph(data: mmap.mmap, graph: _Field, name: str) -> bytes:
    out = bytearray()
    for field in _fields(data, graph.value, graph.end):
        if field.number == _GRAPH_INITIALIZER and field.end - field.value >= _LARGE:
            out += _message(_GRAPH_INITIALIZER, _tensor(data, field, name))
        else:
            out += data[field.start : field.end]
    return bytes(out)


def _tensor(data: mmap.mmap, tensor: _Field, name: str) -> bytes:
    """The tensor with its raw data moved out; one that keeps its values in another form stays as it is."""
    out = bytearray()
    for field in _fields(data, tensor.value, tensor.end):
        if field.number != _TENSOR_RAW_DATA:
            out += data[field.start : field.end]
            continue
        place = {"location": name, "offset": str(field.value), "length": str(field.end - field.value)}
        for key, value in place.items():
            entry = _message(_ENTRY_KEY, key.encode()) + _message(_ENTRY_VALUE, value.encode())
            out += _message(_TENSOR_EXTERNAL_DATA, entry)
        out += _number(_TENSOR_DATA_LOCATION << 3 | _VARINT) + _number(_EXTERNAL)
    return bytes(out)


def _fields(data: mmap.mmap, start: int, end: int) -> Iterator[_Field]:
    """The fields of the message at `data[start:end]`. ValueError where it is none."""
    while start < end:
        key, value = _read_number(data, start)
        kind = key & 7
        if kind == _BYTES:
            size, value = _read_number(data, value)
            after = value + size
        elif kind == _VARINT:
            after = _read_number(data, value)[1]
        elif kind in _FIXED_SIZE:
            after = value + _FIXED_SIZE[kind]
        else:
            raise ValueError(f"not protobuf: wire type {kind}")
        if after > end:
            raise ValueError("a field is longer than its message")
        yield _Field(key >> 3, start, value, after)
        start = after


def _read_number(data: mmap.mmap, at: int) -> tuple[int, int]:
    """The variable-length integer at `at`, and where it ends."""
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return number, at


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _message(number: int, content: bytes) -> bytes:
    return _number(number << 3 | _BYTES) + _number(len(content)) + content
