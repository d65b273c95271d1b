"""Speed of the model: `python -m recipes.builtin.speed --model FOLDER`, compared with
a ViT-B/32-sized fp32 tower.

The reference has the layers of CLIP's ViT-B/32 image tower (Radford et al. 2021) with random weights. Both
run alternately in ONNX Runtime with the same number of threads; the best time of each is reported.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from onnx import TensorProto
from tokenizers import Tokenizer

from .graph import Graph

_WIDTH, _LAYERS, _HEADS, _PATCH, _SIDE, _EMBED = 768, 12, 12, 32, 224, 512
_BATCH = 16
_QUERY = "two dogs playing with a red ball on the beach"


def vit_b_32() -> bytes:
    """An ONNX model with the shapes of ViT-B/32 and random float32 weights: image float[batch,3,224,224]."""
    rng = np.random.default_rng(0)
    graph = Graph(bits=32)

    def random(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.02, shape).astype(np.float32)

    def norm(x: str) -> str:
        return graph.op(
            "LayerNormalization", x, graph.constant(np.ones(_WIDTH)), graph.constant(np.zeros(_WIDTH))
        )

    def linear(x: str, out: int, inp: int) -> str:
        return graph.linear(x, random(out, inp), random(out))

    patches = (_SIDE // _PATCH) ** 2
    kernel = graph.constant(random(_WIDTH, 3, _PATCH, _PATCH))
    x = graph.op("Conv", "image", kernel, kernel_shape=[_PATCH, _PATCH], strides=[_PATCH, _PATCH])
    x = graph.op("Reshape", x, graph.constant([0, _WIDTH, patches], np.int64))
    x = graph.op("Transpose", x, perm=[0, 2, 1])
    x = graph.op("Pad", x, graph.constant([0, 1, 0, 0, 0, 0], np.int64))  # place of the class token
    x = norm(graph.op("Add", x, graph.constant(random(patches + 1, _WIDTH))))
    split = graph.constant([0, 0, _HEADS, _WIDTH // _HEADS], np.int64)
    for _ in range(_LAYERS):
        y = norm(x)
        q, k, v = (graph.op("Reshape", linear(y, _WIDTH, _WIDTH), split) for _ in range(3))
        q = graph.op("Mul", graph.op("Transpose", q, perm=[0, 2, 1, 3]), graph.constant(0.125))
        weights = graph.op(
            "Softmax", graph.op("MatMul", q, graph.op("Transpose", k, perm=[0, 2, 3, 1])), axis=-1
        )
        y = graph.op("MatMul", weights, graph.op("Transpose", v, perm=[0, 2, 1, 3]))
        y = graph.op(
            "Reshape", graph.op("Transpose", y, perm=[0, 2, 1, 3]), graph.constant([0, 0, _WIDTH], np.int64)
        )
        x = graph.op("Add", x, linear(y, _WIDTH, _WIDTH))
        y = linear(norm(x), 4 * _WIDTH, _WIDTH)
        y = graph.op("Mul", y, graph.op("Sigmoid", graph.op("Mul", y, graph.constant(1.702))))
        x = graph.op("Add", x, linear(y, _WIDTH, 4 * _WIDTH))
    first = graph.op("Gather", norm(x), graph.constant(0, np.int64), axis=1)
    embedding = graph.linear(first, random(_EMBED, _WIDTH))
    outputs = {"embedding": (embedding, ["batch", _EMBED])}
    return graph.serialise("image", ["batch", 3, _SIDE, _SIDE], TensorProto.FLOAT, outputs)


def _session(model: bytes | str, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(folder: Path, threads: int, rounds: int = 8) -> dict[str, float]:
    """Images per second of both towers, milliseconds to open the text tower and to embed one query."""
    ours, reference = _session(str(folder / "visual" / "model.onnx"), threads), _session(vit_b_32(), threads)
    feeds = {}
    for session in (ours, reference):
        side = session.get_inputs()[0].shape[2]
        feeds[session] = {"image": np.random.default_rng(0).random((_BATCH, 3, side, side), dtype=np.float32)}
    times: dict[onnxruntime.InferenceSession, list[float]] = {ours: [], reference: []}
    for _ in range(rounds):
        for session, taken in times.items():
            taken.append(_seconds(lambda session=session: session.run(None, feeds[session])))

    text_file = str(folder / "textual" / "model.onnx")
    opening = min(_seconds(lambda: _session(text_file, threads)) for _ in range(5))
    text = _session(text_file, threads)
    tokenizer = Tokenizer.from_file(str(folder / "textual" / "tokenizer.json"))

    def query() -> None:
        text.run(None, {"text": np.array([tokenizer.encode(_QUERY).ids], dtype=np.int32)})

    query()
    fast, slow = _BATCH / min(times[ours]), _BATCH / min(times[reference])
    return {
        "images_per_second": round(fast, 1),
        "vit_b_32_images_per_second": round(slow, 1),
        "times_as_fast": round(fast / slow, 2),
        "text_session_ms": round(1000 * opening, 1),
        "query_ms": round(1000 * float(np.median([_seconds(query) for _ in range(50)])), 2),
        "megabytes": round(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6, 2),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the speeds as JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.builtin.speed", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--model", type=Path, required=True, help="a model folder")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    print(json.dumps(measure(options.model, options.threads), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
