"""The encoder: embeds photos and texts by the two towers of a model folder in ONNX Runtime."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from clipsight.core.arguments import MAX_THREADS, whole_number
from clipsight.core.errors import InvalidVectorError, ModelError
from clipsight.models.folder import ModelFolder
from clipsight.models.graph import ImageGraph, TextGraph, tensor_specs
from clipsight.models.preprocess import PreprocessConfig, resize_and_crop
from clipsight.models.session import available_devices as available_devices
from clipsight.models.session import create_session, first_line
from clipsight.models.text_routing import TextRouting
from clipsight.models.tokenizer import Tokenizer, Tokens

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, RunOptions
    from PIL.Image import Image

# Larger inputs are split into batches of this size, so that memory does not grow with the input.
_IMAGE_BATCH = 16
_TEXT_BATCH = 64
# More threads than this do not make one text faster.
_MAX_TEXT_THREADS = 4


class Cancelled(Exception):
    """A call of the encoder was ended by `Encoder.cancel` or its argument `stop`."""


class Stop(Protocol):
    """A flag that ends a call, such as a `threading.Event`."""

    def is_set(self) -> bool:
        """Return True when the call should end."""
        ...


class Encoder:
    """Embeds photos and texts with the model of `folder`, on `device`.

    `device` is one of `available_devices()`; `threads` limits the CPU threads of all calls together (None:
    the number of cores that this process may use). `long_running` is for servers: loading the text tower
    takes longer, embedding a text less. Each tower is loaded when it is first used.

    On the CPU, a call of `encode_pixels` runs in the calling thread only, unless `set_intra_op_threads`
    allows more; `workers` concurrent calls keep every core busy without synchronising at every layer.
    Raises ModelError if the device is not available, if a tower's files are invalid (when it is loaded), and
    in a process forked from the one that created the encoder, where ONNX Runtime would wait for ever.
    """

    def __init__(
        self,
        folder: ModelFolder,
        *,
        device: str = "cpu",
        threads: int | None = None,
        long_running: bool = False,
    ) -> None:
        whole_number(threads, "threads", minimum=1, maximum=MAX_THREADS, error=ModelError)
        if device != "cpu" and device not in available_devices():
            offered = ", ".join(available_devices())
            raise ModelError(f"no device {device!r}: the installed onnxruntime offers {offered}")
        self.folder = folder
        self.device = device
        self.threads = threads or usable_cores()
        self._long_running = long_running
        self._intra_op_threads = 1
        self._loading = Lock()
        self._visual_tower: tuple[InferenceSession, ImageGraph] | None = None
        self._textual_towers: dict[str, tuple[InferenceSession, TextGraph]] = {}
        self._tokenizers: dict[str, Tokenizer] = {}
        self._routing: TextRouting | None = None
        self._running_lock = Lock()
        self._running: list[tuple[RunOptions, Stop | None]] = []
        self._process = os.getpid()

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.folder.name

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        return self.folder.embed_dim

    @property
    def logit_scale(self) -> float:
        """Factor by which cosines are multiplied before a softmax."""
        return self.folder.logit_scale

    @property
    def preprocessing(self) -> PreprocessConfig:
        """Preprocessing of photos for the visual tower."""
        return self.folder.preprocess

    @property
    def input_size(self) -> tuple[int, int]:
        """Input of the visual tower: (height, width) in pixels."""
        return self.folder.preprocess.size

    @property
    def workers(self) -> int:
        """Number of concurrent calls of `encode_pixels` that use all cores, or the device."""
        return max(1, self.threads // self._intra_op_threads) if self.device == "cpu" else 1

    def set_intra_op_threads(self, threads: int) -> None:
        """Set the CPU threads of each call of `encode_pixels`; must not be called while one runs."""
        with self._locked():
            if threads != self._intra_op_threads:
                self._intra_op_threads, self._visual_tower = threads, None

    def preprocess(self, image: "Image") -> NDArray[np.uint8]:
        """Resize and crop an RGB photo to the model's input: uint8 [H, W, 3]."""
        return resize_and_crop(image, self.folder.preprocess)

    def encode_images(self, images: Sequence["Image"]) -> NDArray[np.float32]:
        """Embed RGB photos: float32 [n, dim], unit length."""
        return self.encode_pixels([self.preprocess(image) for image in images])

    def encode_pixels(
        self, pixels: NDArray[np.uint8] | Sequence[NDArray[np.uint8]], *, stop: Stop | None = None
    ) -> NDArray[np.float32]:
        """Embed the results of `preprocess`: uint8 [n, H, W, 3] to float32 [n, dim], unit length.

        Thread-safe. Raises Cancelled after `cancel()` or once `stop` is set, and InvalidVectorError if the
        model returns a zero or NaN vector.
        """
        return self._checked(self._pixel_vectors(pixels, stop), "photo")

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts: float32 [n, dim], unit length. Texts beyond the context are cut: see `truncated`.

        Raises InvalidVectorError if the model returns a zero or NaN vector.
        """
        return self._checked(self._text_vectors(texts), "text")

    def truncated(self, texts: Sequence[str]) -> tuple[bool, ...]:
        """True for each text that is longer than the model's context, so that its end is not embedded."""
        cut = np.zeros(len(texts), np.bool_)
        for rows, tokens in self._tokenized(texts):
            cut[rows] = tokens.truncated
        return tuple(cut.tolist())

    def is_foreign(self, text: str) -> bool:
        """True if the model has a text tower for languages other than English, and `text` is for it."""
        return self._text_routing().is_foreign(text)

    def count_tokens(self, texts: Sequence[str]) -> int:
        """Number of tokens of all texts together, start and end tokens included, after truncation."""
        return sum(int(tokens.mask.sum()) for _, tokens in self._tokenized(texts))

    def cancel(self, stop: Stop | None = None) -> None:
        """End the calls running with `stop` (None: all), after their current layer; each raises Cancelled."""
        with self._running_lock:
            for options, flag in self._running:
                if stop is None or flag is stop:
                    options.terminate = True

    def _pixel_vectors(
        self, pixels: NDArray[np.uint8] | Sequence[NDArray[np.uint8]], stop: Stop | None = None
    ) -> NDArray[np.float32]:
        """Embed as `encode_pixels`, with NaN in the rows of photos without a valid vector."""
        vectors = np.empty((len(pixels), self.dim), np.float32)
        if not len(pixels):
            return vectors
        session, graph = self._visual()
        with self._cancellable(stop) as options:
            for batch_slice in _batches(len(pixels), graph.batch or _IMAGE_BATCH):
                if stop is not None and stop.is_set():
                    raise Cancelled
                batch = pixels[batch_slice]
                feed = graph.feed(batch, self.folder.preprocess)
                rows = self._run(session, graph, feed, options, graph.batch or len(batch))
                vectors[batch_slice] = rows[: batch_slice.stop - batch_slice.start]
        return _unit(vectors)

    def _text_vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed as `encode_texts`, with NaN in the rows of texts without a valid vector."""
        vectors = np.empty((len(texts), self.dim), np.float32)
        for tower, rows in self._by_tower(texts).items():
            vectors[rows] = self._tower_vectors(tower, [texts[row] for row in rows])
        return _unit(vectors)

    def _tower_vectors(self, tower: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed by one of the text towers: float32 [n, dim], not normalised."""
        vectors = np.empty((len(texts), self.dim), np.float32)
        session, graph = self._textual(tower)
        pad_to_context = graph.length is not None or self.folder.pad_to_context
        with self._cancellable() as options:
            for batch_slice in _batches(len(texts), graph.batch or _TEXT_BATCH):
                batch = list(texts[batch_slice])
                batch += [""] * ((graph.batch or len(batch)) - len(batch))
                tokens = self._tokenizer(tower)(batch, pad_to_context=pad_to_context)
                rows = self._run(session, graph, graph.feed(tokens.ids, tokens.mask), options, len(batch))
                vectors[batch_slice] = rows[: batch_slice.stop - batch_slice.start]
        return vectors

    def _by_tower(self, texts: Sequence[str]) -> dict[str, list[int]]:
        """Rows of `texts` by the name of the text tower that reads them."""
        routing = self._text_routing()
        rows: dict[str, list[int]] = {}
        for row, text in enumerate(texts):
            rows.setdefault(routing.tower(text), []).append(row)
        return rows

    def _text_routing(self) -> TextRouting:
        with self._locked():
            if self._routing is None:
                self._routing = TextRouting(self.folder)
            return self._routing

    def _tokenized(self, texts: Sequence[str]) -> Iterator[tuple[list[int], Tokens]]:
        """Rows of `texts` and their tokens, for each text tower that reads some."""
        for tower, rows in self._by_tower(texts).items():
            yield rows, self._tokenizer(tower)([texts[row] for row in rows], pad_to_context=False)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock under which towers are loaded. Raises ModelError in a forked process."""
        if self._process != os.getpid():  # first: another thread may have held the lock when forking
            raise ModelError(
                f"the encoder of {self.name} was made before this process was forked: open it again here"
            )
        with self._loading:
            yield

    def _visual(self) -> "tuple[InferenceSession, ImageGraph]":
        with self._locked():
            if self._visual_tower is None:
                threads = self._intra_op_threads if self.device == "cpu" else self.threads
                session = create_session(self.folder, "visual", self.device, threads)
                with _folder_in_errors(self.folder):
                    graph = ImageGraph.read(*tensor_specs(session), self.dim, self.input_size)
                self._visual_tower = session, graph
            return self._visual_tower

    def _textual(self, tower: str) -> "tuple[InferenceSession, TextGraph]":
        with self._locked():
            if tower not in self._textual_towers:
                threads = min(self.threads, _MAX_TEXT_THREADS)
                session = create_session(
                    self.folder, tower, self.device, threads, long_running=self._long_running
                )
                with _folder_in_errors(self.folder):
                    graph = TextGraph.read(
                        *tensor_specs(session), self.dim, self.folder.context_length, tower
                    )
                self._textual_towers[tower] = session, graph
            return self._textual_towers[tower]

    def _tokenizer(self, tower: str) -> Tokenizer:
        with self._locked():
            if tower not in self._tokenizers:
                self._tokenizers[tower] = Tokenizer(self.folder, tower)
            return self._tokenizers[tower]

    @contextmanager
    def _cancellable(self, stop: Stop | None = None) -> "Iterator[RunOptions]":
        """Yield run options for one call, registered for `cancel`."""
        from onnxruntime import RunOptions

        options = RunOptions()
        options.only_execute_path_to_fetches = True
        running = (options, stop)
        with self._running_lock:
            self._running.append(running)
        try:
            yield options
        finally:
            with self._running_lock:
                self._running.remove(running)

    def _run(
        self,
        session: "InferenceSession",
        graph: ImageGraph | TextGraph,
        feed: dict[str, NDArray[Any]],
        options: "RunOptions",
        count: int,
    ) -> NDArray[Any]:
        """Run a tower: float [count, dim], not normalised."""
        try:
            vectors: NDArray[Any] = session.run([graph.output], feed, options)[0]
        except Exception as error:  # onnxruntime's errors have no base class but Exception
            if options.terminate:
                raise Cancelled from None
            raise ModelError(f"model {self.name} could not be run: {first_line(error)}") from error
        if vectors.shape != (count, self.dim):
            shape = " x ".join(map(str, vectors.shape))
            raise ModelError(f"model {self.name} gave {shape} numbers, not {count} x {self.dim}")
        return vectors

    def _checked(self, vectors: NDArray[np.float32], what: str) -> NDArray[np.float32]:
        """Return `vectors` unchanged. Raises InvalidVectorError if there are rows with NaN."""
        rows = np.flatnonzero(np.isnan(vectors).any(axis=1))
        if rows.size:
            raise InvalidVectorError(self.name, what, tuple(rows.tolist()), vectors)
        return vectors


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Divide rows by their lengths, in place; rows that are zero or not finite become NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        lengths[~np.isfinite(lengths) | (lengths == 0)] = np.nan
        vectors /= lengths
    return vectors


def usable_cores() -> int:
    """Number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _batches(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


@contextmanager
def _folder_in_errors(folder: ModelFolder) -> Iterator[None]:
    """Add the path of the model folder to the message of a ModelError."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"model folder {folder.path}: {error}") from error
