"""How much of what this machine's cores can multiply does indexing use?

    python -m benchmarks.roofline PHOTOS WORK [--model builtin MODEL]

The roof is matrix multiplication, float32, 2048 x 2048 x 2048: NumPy's BLAS and ONNX Runtime's MatMul, one
product after the other on one core, and so on every core at once. Below it stand the visual tower alone
(random pixels, as indexing runs it) and indexing, end to end. Their operations are counted on the graph: 2
for each multiplication with addition in MatMul, Gemm and Conv (and their integer kinds), by the shapes that
a run of it really has; all else, such as softmax, normalisation and decoding, counts as none, so that it
shows as distance from the roof.

Rates on one core are by its CPU seconds; on all, by the clock, less what other processes worked meanwhile.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from benchmarks import measure, tuning
from clipsight.indexing.autotune import DEFAULT_SETTINGS
from clipsight.models import registry
from clipsight.models.encoder import Encoder
from clipsight.models.folder import ModelFolder

_SIDE = 2048
_PRODUCT = 2 * _SIDE**3
_SECONDS = 3.0
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
_PRODUCTS = {"MatMul", "MatMulInteger", "Gemm", "Conv", "ConvInteger"}
_NUMPY = f"""
import sys, numpy
from benchmarks import roofline
a, b = numpy.random.default_rng(0).random((2, {_SIDE}, {_SIDE}), numpy.float32)
print(roofline.gflops(lambda: a @ b, {_PRODUCT}, int(sys.argv[1])))
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.roofline", description=__doc__.splitlines()[0]
    )
    parser.add_argument("photos", type=Path, help="a folder of photos to index")
    parser.add_argument("work", type=Path, help="a folder for libraries")
    parser.add_argument("--model", nargs="+", default=["builtin"], help="names or folders of models")
    arguments = parser.parse_args()
    photos, work = arguments.photos.resolve(), arguments.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    measure.print_machine("onnxruntime", "numpy")
    rows = [*roofs()]
    for name in arguments.model:
        rows += below(ModelFolder.read(registry.locate(name)), photos, work)
    roof = {cores: max(rate for _, of, rate, _ in rows if of == cores) for cores in (1, measure.cores())}
    cells = [
        (what, str(cores), f"{rate:.0f}", f"{rate / roof[cores]:.2f}", photos_a_second)
        for what, cores, rate, photos_a_second in rows
    ]
    measure.print_table(("", "cores", "GFLOP/s", "of the roof", "photos/s"), cells)


def roofs() -> Iterator[tuple[str, int, float, str]]:
    """Rows of matrix multiplication: what, cores, GFLOP/s."""
    for cores in dict.fromkeys((1, measure.cores())):
        yield "matrix product, NumPy", cores, of_numpy(cores), ""
        yield "matrix product, ONNX Runtime", cores, gflops(of_onnxruntime(), _PRODUCT, cores), ""


def below(folder: ModelFolder, photos: Path, work: Path) -> Iterator[tuple[str, int, float, str]]:
    """Rows of a model: its visual tower alone, and indexing."""
    each = operations(folder.path / "visual" / "model.onnx")
    name = f"{folder.name}, {each / 1e9:.2f} GFLOP a photo"
    height, width = folder.preprocess.size
    batch_size = DEFAULT_SETTINGS.batch_size
    pixels = np.random.default_rng(0).integers(0, 256, (batch_size, height, width, 3), np.uint8)
    encoder = Encoder(folder)
    for cores in dict.fromkeys((1, measure.cores())):
        rate = gflops(lambda: encoder.encode_pixels(pixels), each * batch_size, cores)
        yield f"{name}: encoder", cores, rate, f"{rate * 1e9 / each:.1f}"
    photos_a_second = (
        tuning.index(photos, work, Encoder(folder), tuning.Setting(DEFAULT_SETTINGS)) * measure.cores()
    )
    yield f"{name}: indexing", measure.cores(), photos_a_second * each / 1e9, f"{photos_a_second:.1f}"


def gflops(work: Callable[[], object], operations: float, cores: int) -> float:
    """The rate of work of so many operations on one core, done on several at once for some seconds."""
    with ThreadPoolExecutor(cores) as pool:
        for running in [pool.submit(work) for _ in range(cores)]:  # loads and allocates
            running.result()
        clock, cpu, until = measure.CoreSeconds(), time.process_time(), time.perf_counter() + _SECONDS

        def again_and_again() -> int:
            count = 0
            while not count or time.perf_counter() < until:
                work()
                count += 1
            return count

        count = sum([running.result() for running in [pool.submit(again_and_again) for _ in range(cores)]])
        seconds = time.process_time() - cpu if cores == 1 else clock.so_far() / measure.cores()
    return count * operations / seconds / 1e9


def of_numpy(cores: int) -> float:
    """GFLOP/s of NumPy, in a process of its own: BLAS reads how many threads to use when it is loaded."""
    variables = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    env = os.environ | variables | {"PYTHONPATH": f"{measure.ROOT}{os.pathsep}{measure.ROOT / 'src'}"}
    done = subprocess.run(
        [sys.executable, "-c", _NUMPY, str(cores)], env=env, check=True, stdout=subprocess.PIPE, text=True
    )
    return float(done.stdout)


def of_onnxruntime() -> Callable[[], object]:
    """A run of ONNX Runtime's product, the second matrix a weight."""
    import onnxruntime

    a, b = np.random.default_rng(0).random((2, _SIDE, _SIDE), np.float32)
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [_SIDE, _SIDE]) for name in ("a", "c")]
    node = helper.make_node("MatMul", ["a", "b"], ["c"])
    graph = helper.make_graph([node], "product", ports[:1], ports[1:], [numpy_helper.from_array(b, "b")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda: session.run(None, {"a": a})


def operations(file: Path) -> float:
    """Floating-point (or integer) operations of a graph's products, for one photo."""
    model = onnx.load(file)
    nodes = [node for node in model.graph.node if node.op_type in _PRODUCTS]
    shapes = shapes_of(model, {name for node in nodes for name in (*node.input[:2], node.output[0])})
    return float(sum(2 * prod(shapes[node.output[0]]) * summed(node, shapes) for node in nodes))


def summed(node: NodeProto, shapes: dict[str, tuple[int, ...]]) -> int:
    """How many products each number of a node's output is the sum of."""
    first, second = shapes[node.input[0]], shapes[node.input[1]]
    if node.op_type.startswith("Conv"):
        return prod(second[1:])
    turned = any(each.name == "transA" and each.i for each in node.attribute)
    return first[-2] if turned else first[-1]


def shapes_of(model: onnx.ModelProto, names: set[str]) -> dict[str, tuple[int, ...]]:
    """Shapes of a graph's values when it is given one photo, by running it with them as its outputs."""
    import onnxruntime

    shapes = {weight.name: tuple(weight.dims) for weight in model.graph.initializer}
    ports = [*model.graph.input, *model.graph.output]
    asked = sorted(names - shapes.keys() - {port.name for port in ports})
    model.graph.output.extend(ValueInfoProto(name=name) for name in asked)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    (image,) = session.get_inputs()
    one = [size if isinstance(size, int) else 1 for size in image.shape]
    feed: dict[str, Any] = {image.name: np.zeros(one, _TYPES[image.type])}
    outputs = [output.name for output in session.get_outputs()]
    values = zip(outputs, session.run(outputs, feed), strict=True)
    return shapes | {name: value.shape for name, value in [*feed.items(), *values]}


if __name__ == "__main__":
    main()
