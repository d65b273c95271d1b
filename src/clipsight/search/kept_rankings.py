"""Rankings that are kept, so that reading a long result page by page does not rank all photos again."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clipsight.store.vectors.rerank import Ranking

MAX_RANKINGS = 32
MAX_PHOTOS = 1_000_000
"""Photos of all kept rankings together, at 16 bytes each; one ranking may have more."""

FIRST_PAGE = 1000
"""Up to this many photos, no more is ranked than is asked for first: most results are not read further."""

GROWTH = 8
"""Factor by which more is ranked than is asked for, once a second page is read; for far pages it is 2."""


class KeptRankings:
    """The rankings that were used last, by what they depend on; any number of threads may use them."""

    def __init__(self) -> None:
        self._rankings: OrderedDict[Hashable, Ranking] = OrderedDict()
        self._lock = Lock()

    def best(self, key: Hashable, count: int, rank: "Callable[[int], Ranking]") -> "Ranking":
        """The ranking of at least the `count` best photos, or of all photos.

        `rank` makes a ranking of a number of photos. All pages up to place n together take the time of
        ranking a small multiple of n.
        """
        with self._lock:
            kept = self._rankings.get(key)
            if kept is not None:
                self._rankings.move_to_end(key)
        if kept is not None and (kept.complete or len(kept) >= count):
            return kept
        growth = 2 if count > FIRST_PAGE else GROWTH if kept is not None else 1
        made = rank(growth * count)
        with self._lock:
            self._rankings[key] = made
            self._rankings.move_to_end(key)
            while len(self._rankings) > 1 and self._exceeds():
                self._rankings.popitem(last=False)
        return made

    def _exceeds(self) -> bool:
        some = self._rankings.values()
        return len(some) > MAX_RANKINGS or sum(map(len, some)) > MAX_PHOTOS
