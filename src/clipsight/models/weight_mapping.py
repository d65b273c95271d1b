"""Memory-mapped weights of an ONNX file: its graph, with the weights as external data in the same file.

ONNX Runtime parses a model file with protobuf, which copies every weight: for the text tower of ViT-B/32 this
takes half a second and twice the memory, at each start of a process. Weights in *external data* are mapped
from their file instead. External data may be any range of any file
(https://onnx.ai/onnx/repo-docs/ExternalData.html), so the graph can refer to ranges of the model file itself:
nothing is written, and only a graph of some kilobytes is parsed.

Only the fields of `onnx.proto` on the way to the weights are decoded here; all others are copied unchanged.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

EXTERNAL_DATA_FOLDER = "session.model_external_initializers_file_folder_path"
"""Session option with the folder of the external data of a graph that is loaded from bytes."""

_MIN_EXTERNAL_BYTES = 1024
"""Initializers of fewer bytes stay in the graph: shapes and axes, which are read while it is loaded."""

# Field numbers of onnx.proto.
_MODEL_GRAPH, _GRAPH_INITIALIZER = 7, 5
_TENSOR_RAW_DATA, _TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION = 9, 13, 14
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_EXTERNAL = 1

# Wire types of protobuf (https://protobuf.dev/programming-guides/encoding/).
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_SIZE = {_FIXED64: 8, _FIXED32: 4}


class _Field(NamedTuple):
    """A field of a message: its number and the offsets of its start, value and end."""

    number: int
    start: int
    value: int
    end: int


def externalize_weights(file: Path) -> bytes | None:
    """Return the model in `file` with its large initializers replaced by references into `file`.

    A session of it needs the option `EXTERNAL_DATA_FOLDER`. None if the file can't be parsed: ONNX Runtime
    then loads the file itself and reports the error.
    """
    try:
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _model(data, file.name)
    except (OSError, ValueError, IndexError):
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
        if field.number == _GRAPH_INITIALIZER and field.end - field.value >= _MIN_EXTERNAL_BYTES:
            out += _message(_GRAPH_INITIALIZER, _tensor(data, field, name))
        else:
            out += data[field.start : field.end]
    return bytes(out)


def _tensor(data: mmap.mmap, tensor: _Field, name: str) -> bytes:
    """The tensor with its `raw_data` made external; a tensor with other data fields is unchanged."""
    out = bytearray()
    for field in _fields(data, tensor.value, tensor.end):
        if field.number != _TENSOR_RAW_DATA:
            out += data[field.start : field.end]
            continue
        place = {"location": name, "offset": str(field.value), "length": str(field.end - field.value)}
        for key, value in place.items():
            entry = _message(_ENTRY_KEY, key.encode()) + _message(_ENTRY_VALUE, value.encode())
            out += _message(_TENSOR_EXTERNAL_DATA, entry)
        out += _varint(_TENSOR_DATA_LOCATION << 3 | _VARINT) + _varint(_EXTERNAL)
    return bytes(out)


def _fields(data: mmap.mmap, start: int, end: int) -> Iterator[_Field]:
    """Yield the fields of the message at `data[start:end]`. Raises ValueError if it is not protobuf."""
    while start < end:
        key, value = _read_varint(data, start)
        kind = key & 7
        if kind == _BYTES:
            size, value = _read_varint(data, value)
            after = value + size
        elif kind == _VARINT:
            after = _read_varint(data, value)[1]
        elif kind in _FIXED_SIZE:
            after = value + _FIXED_SIZE[kind]
        else:
            raise ValueError(f"not protobuf: wire type {kind}")
        if after > end:
            raise ValueError("a field is longer than its message")
        yield _Field(key >> 3, start, value, after)
        start = after


def _read_varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    """Read the varint at `at`; return it and the offset after it."""
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return number, at


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _message(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content
