"""The errors a user can meet: one line each, saying what, where and what to do next.

The command line prints the message and leaves with exit code 2; nothing else in the
package catches these to hide them.
"""


class ClipsightError(Exception):
    """Base of every error that is the user's to mend; its text is one complete line."""


class ModelError(ClipsightError):
    """A model that is missing, incomplete, unknown or can't be had."""


class PhotoError(ClipsightError):
    """A file that can't be read as a photo; the text is the reason, without the path."""


class QueryError(ClipsightError):
    """A query that can't be understood."""


class LibraryError(ClipsightError):
    """A library, folder or file of vectors that can't be used as asked."""


class LabelError(ClipsightError):
    """Labels, prompt templates, a labelled collection or a probe that can't be used as asked."""


class CheckpointError(ClipsightError):
    """Weights that can't be read, or that belong to another architecture."""


class TrainingError(ClipsightError):
    """A training run that can't start or can't go on as asked."""


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
