"""Errors that users can resolve: one line that names the problem, its place and what to do next.

The command line prints the message and exits with code 2.
"""


class ClipsightError(Exception):
    """Base class of the errors that users can resolve; the message is one complete line."""


class ModelError(ClipsightError):
    """A model that is missing, incomplete, unknown or can't be downloaded."""


class PhotoError(ClipsightError):
    """A file that can't be read as a photo; the message is the reason, without the path."""


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
