"""Access rules, checked with the request line and headers alone."""

import pytest

from clipsight.web.server.auth import AccessPolicy

TOKEN = "a-token-of-some-length"


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:7860",
        "LOCALHOST:1",
        "127.0.0.1:7860",
        "[::1]:7860",
        "[::1]",
        "192.168.1.7:7860",
        "nas:80",
    ],
)
def test_the_servers_names_are_known(host: str) -> None:
    assert AccessPolicy(7860, hosts=["nas"]).allows_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:7860",
        "evil.example:localhost",
        "localhost:evil",
        "[::1].evil.example",
        "[::1",
        "[localhost]",
        "localhost@evil.example",
        "localhost:78:60",
    ],
)
def test_other_host_names_are_refused(host: str) -> None:
    assert not AccessPolicy(7860).allows_host(host)


@pytest.mark.parametrize(
    ("headers", "may_navigate", "allowed"),
    [
        ({}, False, True),  # no browser
        ({"origin": "http://localhost:7860"}, False, True),
        ({"origin": "https://localhost:7860"}, False, True),  # behind a proxy
        ({"origin": "http://localhost:9999"}, False, False),
        ({"origin": "http://evil.example"}, False, False),
        ({"origin": "null"}, False, False),
        ({"sec-fetch-site": "same-origin"}, False, True),
        ({"sec-fetch-site": "none"}, False, True),  # typed by the user
        ({"sec-fetch-site": "cross-site"}, False, False),
        ({"sec-fetch-site": "same-site"}, False, False),  # another port of this machine
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, True, True),  # a link to the page
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, True, False),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, False, False),
    ],
)
def test_pages_of_other_sites_are_refused(headers: dict[str, str], may_navigate: bool, allowed: bool) -> None:
    assert (
        AccessPolicy(7860).allows_origin({"host": "localhost:7860", **headers}, may_navigate=may_navigate)
        == allowed
    )


def test_the_token_comes_in_a_header_or_as_the_cookie() -> None:
    policy = AccessPolicy(7860, TOKEN)
    assert policy.is_authenticated({"authorization": f"Bearer {TOKEN}"})
    assert policy.is_authenticated({"authorization": f"bearer {TOKEN}"})
    assert policy.is_authenticated({"cookie": f"x=y; clipsight-7860={policy.cookie_value}"})
    assert TOKEN not in policy.cookie_value


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer "},
        {"authorization": f"Bearer {TOKEN[:-1]}"},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": TOKEN},
        {"authorization": "Bearer \udcff\udcfe"},
        {"cookie": f"clipsight-7860={TOKEN}"},
        {"cookie": f"clipsight-1={AccessPolicy(7860, TOKEN).cookie_value}"},
        {"cookie": f"clipsight-7860={AccessPolicy(7860, 'another-token-entirely').cookie_value}"},
        {"cookie": "clipsight-7860=\x00;;;=\"'"},
    ],
)
def test_other_credentials_are_refused(headers: dict[str, str]) -> None:
    assert not AccessPolicy(7860, TOKEN).is_authenticated(headers)


def test_a_server_without_a_token_accepts_no_token() -> None:
    assert not AccessPolicy(7860).is_token("")
    assert AccessPolicy(7860).is_authenticated({})
