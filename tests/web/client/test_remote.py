"""Searches by a server at an address, and errors if it is not a clipsight server."""

import pytest

from clipsight.core.errors import QueryError, ServerError
from clipsight.search.options import SearchOptions
from clipsight.search.query import Query
from clipsight.store.filters import Filters
from clipsight.web.client import local, remote
from tests.core.test_http import raw_server

PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
STRANGERS = {
    "a page": PAGE + b"<html><body>Log in</body></html>",
    "a page with an empty line": PAGE + b"<html>\n<head>\n\n<title>Log in</title></html>\n",
    "a result cut short": b"HTTP/1.1 200 OK\r\nX-Clipsight: 1\r\nContent-Length: 5000\r\n\r\n\n0.536",
    "other JSON": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    "no HTTP": b"SSH-2.0-OpenSSH\r\n",
}


@pytest.mark.parametrize("name", STRANGERS)
def test_other_servers_give_no_result(name: str, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with raw_server(STRANGERS[name], STRANGERS[name]) as (url, _):
        assert local.try_server(["search", "cat", "--server", url]) is None
        with pytest.raises(ServerError, match=r"not a clipsight server|no clipsight server answers"):
            remote.search(url, Query.parse("cat"))
    assert capsysbinary.readouterr().out == b""


def test_filters_that_a_server_does_not_know_are_refused() -> None:
    with pytest.raises(QueryError, match="labels only"):
        remote.search("http://127.0.0.1:9", Query.parse("cat"), SearchOptions(filters=Filters(after="2024")))
