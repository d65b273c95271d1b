"""A query picture from an http(s) address, fetched with limits on time and bytes."""

import urllib.error
import urllib.request

from clipsight.core.errors import QueryError

MAX_BYTES = 64 << 20
TIMEOUT_SECONDS = 20.0


def fetch_picture(address: str) -> bytes:
    """The bytes behind `address`; `QueryError` if it doesn't answer in time or sends too much."""
    try:
        request = urllib.request.Request(address, headers={"User-Agent": "clipsight", "Accept": "image/*"})
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
            data: bytes = answer.read(MAX_BYTES + 1)
    except urllib.error.HTTPError as error:
        raise QueryError(f"can't fetch {address}: the server answered {error.code} {error.reason}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise QueryError(f"can't fetch {address}: {reason}") from error
    if len(data) > MAX_BYTES:
        raise QueryError(f"can't fetch {address}: it is larger than {MAX_BYTES >> 20} MB")
    return data
