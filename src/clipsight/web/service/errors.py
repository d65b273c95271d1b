"""Errors of the server that its user can mend; see `clipsight.core.errors`."""

from clipsight.core.errors import ClipsightError, LibraryError, PhotoError


class ServerError(ClipsightError):
    """A server that can't be started or reached as asked."""


class NotFoundError(LibraryError):
    """A photo, folder or job that is not there (any more)."""


class BusyError(LibraryError):
    """Something that can't be begun while something else goes on."""


class NoModelError(LibraryError):
    """The library has no model yet, because nothing has been indexed."""


class UploadError(PhotoError):
    """An uploaded picture that is too large or is none."""
