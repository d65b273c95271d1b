"""What the tests of the server share: a service over the sample photos, and the application around it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from starlette.testclient import TestClient
from starlette.types import ASGIApp

from clipsight import Library
from clipsight.search.options import SearchOptions
from clipsight.web.server.app import create_app
from clipsight.web.server.auth import AccessPolicy
from clipsight.web.server.cancellation import RequestThreads
from clipsight.web.service.service import Service

PORT = 7860
BASE_URL = f"http://localhost:{PORT}"


@contextmanager
def indexed(folder: Path, photos: Path, model: Path) -> Iterator[Service]:
    """A service whose library holds the photos in `photos`, which is its one root."""
    with Library.open(folder, model=str(model)) as library:
        library.index(photos)
    with Service(folder, roots=[photos]) as service:
        yield service


def application(service: Service, token: str | None = None) -> ASGIApp:
    """The API without the page."""
    return create_app(service, AccessPolicy(PORT, token), RequestThreads(), page=False)


def client_of(service: Service, token: str | None = None) -> TestClient:
    """A client of the API; what goes wrong in the server is an answer, as for any client."""
    app = application(service, token)
    return TestClient(app, base_url=BASE_URL, raise_server_exceptions=False)


def id_of(service: Service, name: str) -> int:
    """The number of the sample photo `name`."""
    found = service.search("photo", SearchOptions(top=100))
    return next(match.id for match in found if match.path.name == name)
