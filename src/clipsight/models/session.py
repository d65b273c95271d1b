"""ONNX Runtime sessions: devices, threads and weights mapped from the file."""

from typing import TYPE_CHECKING

from clipsight.core.errors import ModelError
from clipsight.core.fork import leak_after_fork
from clipsight.models.folder import MULTILINGUAL, ModelFolder
from clipsight.models.weight_mapping import EXTERNAL_DATA_FOLDER, externalize_weights

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


def available_devices() -> list[str]:
    """Return the devices of the installed onnxruntime, "cpu" first: "cuda", "coreml", "openvino", ..."""
    return ["cpu", *sorted(_providers().keys() - {"cpu"})]


def create_session(
    folder: ModelFolder, tower: str, device: str, threads: int, *, long_running: bool = False
) -> "InferenceSession":
    """Create the session of the tower in the folder `tower`, with `threads` intra-op threads.

    `long_running` optimises a text tower, which takes time and makes each text faster. Raises ModelError if
    onnxruntime can't load the graph or use the device. `python -m benchmarks.sessions MODEL` measures the
    options.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that spin while they wait would take cores from threads that decode photos.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # A memory pattern is stored for every input shape, of which batches and texts have many.
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    wanted = list(dict.fromkeys((_providers()[device], "CPUExecutionProvider")))
    file = folder.path / tower / "model.onnx"
    if tower != "visual" and not long_running:
        # Prepacking copies the weights into the layout that the processor prefers: it halves the time of a
        # text, but takes longer than embedding a few texts; 4-bit weights, which are multiplied as they are,
        # take six times as long without it. Graph optimisations: dequantising 8-bit weights once takes as
        # long as embedding a hundred texts.
        options.add_session_config_entry("session.disable_prepacking", str(int(tower != MULTILINGUAL)))
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    # The weights are mapped on the CPU only; other execution providers differ in their support.
    options.add_session_config_entry(EXTERNAL_DATA_FOLDER, str(file.parent))
    graph = externalize_weights(file) if device == "cpu" else None
    try:
        session = onnxruntime.InferenceSession(graph or file, options, providers=wanted)
    except Exception as error:  # onnxruntime's errors have no base class but Exception
        raise ModelError(
            f"model folder {folder.path}: {tower}/model.onnx can't be loaded; "
            f"download or export the model again ({first_line(error)})"
        ) from error
    leak_after_fork(session)
    if session.get_providers()[0] != wanted[0]:
        raise ModelError(
            f"device {device!r} can't be used: onnxruntime has {wanted[0]} but could not start it; "
            'check its driver, or use `device="cpu"`'
        )
    return session


def first_line(error: Exception) -> str:
    """First line of an onnxruntime error; the others are a stack trace."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _providers() -> dict[str, str]:
    """Execution provider of each device."""
    import onnxruntime

    names = onnxruntime.get_available_providers()
    devices = {name.removesuffix("ExecutionProvider").lower(): name for name in names}
    devices.pop("azure", None)  # sends the input to a server
    return devices
