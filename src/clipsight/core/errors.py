"""Errors that users can resolve: one line that names the problem, its place and what to do next.

The command line prints the message and exits with code 2.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clipsight.core.arrays import Float32


class ClipsightError(Exception):
    """Base class of the errors that users can resolve; the message is one complete line."""


class ConfigError(ClipsightError):
    """A configuration file that can't be used."""


class ModelError(ClipsightError):
    """A model that is missing, incomplete, unknown or can't be downloaded."""


class InvalidVectorError(ModelError):
    """Photos or texts for which a model returns zero or NaN vectors, such as after an overflow in float16.

    `rows` are their indices. `vectors` are the unit vectors of the whole input, float32[n, dim], NaN in
    `rows`.
    """

    def __init__(self, model: str, what: str, rows: tuple[int, ...], vectors: "Float32") -> None:
        which = ", ".join(str(row + 1) for row in rows[:5])
        super().__init__(
            f"model {model} gave a zero or not-a-number vector for {what} {which} of {len(vectors)}"
        )
        self.rows = rows
        self.vectors = vectors
        self.reason = f"model {model} gave a zero or not-a-number vector"


class PhotoError(ClipsightError):
    """A file that can't be read as a photo; the message gives the reason without the path."""


class QueryError(ClipsightError):
    """A query that can't be parsed."""


class LibraryError(ClipsightError):
    """A library, folder or file of vectors that can't be used."""


class LabelError(ClipsightError):
    """Labels, prompt templates, a labelled collection or a probe that can't be used."""


class CheckpointError(ClipsightError):
    """Weights that can't be read, or are of another architecture."""


class TrainingError(ClipsightError):
    """A training run that can't start or continue."""


class ServerError(ClipsightError):
    """A server that can't be started or reached."""


class NotFoundError(LibraryError):
    """A photo, folder or job that does not exist (any more)."""


class BusyError(LibraryError):
    """An operation that can't start while another one runs."""


class NoModelError(LibraryError):
    """A library without a model, because nothing has been indexed yet."""


class UploadError(PhotoError):
    """An upload that is too large or is not an image."""
