"""clipsight: semantic photo search with CLIP.

    from clipsight import Library
    library = Library.open()
    library.index("~/Pictures")
    for match in library.search("two dogs on a beach", top=5):
        print(match.score, match.path)

Public names are imported on first use, so that `import clipsight` costs milliseconds.
"""

from importlib import import_module

from clipsight.core.version import __version__ as __version__

TYPE_CHECKING = False  # importing typing.TYPE_CHECKING would take 10 ms of each start
if TYPE_CHECKING:
    from typing import Any

    from clipsight.core.errors import ClipsightError as ClipsightError
    from clipsight.encoder import Encoder as Encoder
    from clipsight.indexing.media.picture import PhotoLike as PhotoLike
    from clipsight.library import Library as Library
    from clipsight.search.query import Query as Query
    from clipsight.search.results import Match as Match
    from clipsight.search.results import Matches as Matches

_HOME_OF = {
    "ClipsightError": "clipsight.core.errors",
    "Encoder": "clipsight.encoder",
    "Library": "clipsight.library",
    "Match": "clipsight.search.results",
    "Matches": "clipsight.search.results",
    "PhotoLike": "clipsight.indexing.media.picture",
    "Query": "clipsight.search.query",
}

__all__ = sorted([*_HOME_OF, "__version__"])


def __getattr__(name: str) -> "Any":
    if name not in _HOME_OF:
        raise AttributeError(f"module 'clipsight' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
