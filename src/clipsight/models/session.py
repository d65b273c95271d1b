"""ONNX Runtime's sessions as the encoder uses them: on which device, with how many threads, which weights."""

from typing import TYPE_CHECKING

from clipsight.core.errors import ModelError
from clipsight.models.folder import ModelFolder
from clipsight.models.weight_mapping import FOLDER_OPTION, graph_without_weights

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


def available_devices() -> list[str]:
    """What the installed onnxruntime can run on, "cpu" first: "cuda", "coreml", "openvino", ..."""
    return ["cpu", *sorted(_providers().keys() - {"cpu"})]


def load_tower(
    folder: ModelFolder, tower: str, device: str, threads: int, *, long_running: bool = False
) -> "InferenceSession":
    """The session of one tower. ModelError where onnxruntime can't read it or can't use the device.

    `long_running`: it will run for long, so that loading may take longer if running is faster then.
    What each choice here costs and gains: `python -m benchmarks.sessions MODEL`. All graph
    optimisations stay on, for they cost milliseconds.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A thread that spins while it waits takes a core away from the decoders.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # A pattern is kept for every shape ever run: batches and texts have many.
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    wanted = list(dict.fromkeys((_providers()[device], "CPUExecutionProvider")))
    file = folder.path / tower / "model.onnx"
    if tower == "textual" and not long_running:
        # Copying the weights into the order that suits the processor takes longer than it ever saves
        # the few texts of a process. (It halves the time of a text by itself.)
        options.add_session_config_entry("session.disable_prepacking", "1")
    # On the CPU the weights are mapped; how a device's provider takes that differs, so it gets the file.
    options.add_session_config_entry(FOLDER_OPTION, str(file.parent))
    graph = graph_without_weights(file) if device == "cpu" else None
    try:
        session = onnxruntime.InferenceSession(graph or file, options, providers=wanted)
    except Exception as error:  # onnxruntime's errors have no base class but Exception
        raise ModelError(
            f"model folder {folder.path}: {tower}/model.onnx can't be loaded; "
            f"download or export the model again ({first_line(error)})"
        ) from error
    if session.get_providers()[0] != wanted[0]:
        raise ModelError(
            f"device {device!r} can't be used: onnxruntime has {wanted[0]} but could not start it; "
            'check its driver, or use `device="cpu"`'
        )
    return session


def first_line(error: Exception) -> str:
    """What onnxruntime says first; the rest is a stack of its own."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _providers() -> dict[str, str]:
    """The execution provider of each device."""
    import onnxruntime

    names = onnxruntime.get_available_providers()
    devices = {name.removesuffix("ExecutionProvider").lower(): name for name in names}
    devices.pop("azure", None)  # sends the input to a server
    return devices
