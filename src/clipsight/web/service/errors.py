"""Errors of the server, each with its remedy in the message; see `clipsight.core.errors`."""

from clipsight.core.errors import ClipsightError, LibraryError, PhotoError


class ServerError(ClipsightError):
    """The server can't be started or reached."""


class NotFoundError(LibraryError):
    """A photo, folder or job does not exist (any more)."""


class BusyError(LibraryError):
    """A job can't be started while another one is running."""


class NoModelError(LibraryError):
    """The library has no model yet, because nothing has been indexed."""


class UploadError(PhotoError):
    """An uploaded file is too large, or is not a picture."""
