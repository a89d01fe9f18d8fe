"""Without keys only this machine's own programs are served, or those of a network that is named:
never a page that a browser shows, whatever name it rebound to this address. With keys it is the key
that counts."""

from __future__ import annotations

import pytest
from loopback_gateway import open_loopback
from spoken_errors import ANTHROPIC, CHAT_PATHS, OLLAMA, OPENAI, assert_spoken, request_of

from forebay.actors.config import Settings
from forebay.endpoints.door import Door
from forebay.endpoints.heads import RequestHead
from forebay.protocol.canonical.errors import ApiFailure, ErrorKind
from forebay.protocol.jsontext import dumps

pytestmark = pytest.mark.usefixtures("no_errors_logged")

PAGES = {
    "/v1/models": OPENAI,
    "/v1/models/fast": OPENAI,
    "/api/tags": OLLAMA,
    "/api/version": OLLAMA,
    "/": OLLAMA,
    "/forebay/status": OPENAI,
    "/v1/nothing": OPENAI,
    "/v1/messages/nothing": ANTHROPIC,
}
FOREIGN_HOSTS = (
    "evil.com",
    "evil.com:4290",
    "192.168.1.5",
    "192.168.1.5:4290",
    "0.0.0.0",
    "[fe80::1]",
    "localhost.evil.com",
    "localhost.",
    "127.0.0.1.evil.com",
    "notlocalhost",
    " ",
    ":4290",
    "[::1",
    "::1]",
    "[localhost]",
    "[]",
    "evil.com@",
    "½",
    "a b",
    "a" * 5000,
)
FOREIGN_ORIGINS = (
    "http://evil.com",
    "https://localhost.evil.com",
    "http://192.168.1.5:3000",
    "null",
    "file://",
    "http://[::1",
    "localhost",
    "x",
    "",
)
OWN_HOSTS = (
    "localhost",
    "localhost:1234",
    "LocalHost:1",
    "127.0.0.1",
    "127.0.0.1:4290",
    "127.8.8.8",
    "[::1]",
    "[::1]:4290",
    "forebay.localhost:4290",
)
OWN_ORIGINS = (
    "http://localhost:3000",
    "http://127.0.0.1:8080",
    "https://localhost",
    "http://[::1]:5173",
    "http://app.localhost",
)


async def test_foreign_hosts_are_refused_on_every_path() -> None:
    async with open_loopback() as gateway:
        for host in FOREIGN_HOSTS:
            answer = await gateway.request("GET", "/v1/models", host=host)
            message = assert_spoken(OPENAI, 403, answer.status, answer.headers, answer.body)
            assert "host" in message
            assert len(message) < 400
        for path, dialect in PAGES.items():
            answer = await gateway.request("GET", path, host="evil.com")
            assert_spoken(dialect, 403, answer.status, answer.headers, answer.body)
        for path, dialect in CHAT_PATHS.items():
            answer = await gateway.request("POST", path, body=request_of(path), host="evil.com")
            assert_spoken(dialect, 403, answer.status, answer.headers, answer.body)
        assert gateway.sandbox.statistics().received == 0


async def test_a_request_without_a_host_is_refused() -> None:
    async with open_loopback() as gateway:
        answer = await gateway.request("GET", "/v1/models", host=None, version="1.0")
        assert_spoken(OPENAI, 403, answer.status, answer.headers, answer.body)
        answer = await gateway.request("GET", "/v1/models", host=None)
        assert answer.status == 400  # not HTTP/1.1
        answer = await gateway.request("GET", "/v1/models", version="1.0")
        assert answer.status == 200


async def test_pages_of_elsewhere_are_refused_on_every_path() -> None:
    async with open_loopback() as gateway:
        for origin in FOREIGN_ORIGINS:
            answer = await gateway.request("GET", "/v1/models", headers={"origin": origin})
            message = assert_spoken(OPENAI, 403, answer.status, answer.headers, answer.body)
            assert "origin" in message
        for headers in ({"origin": "http://evil.com"}, {"sec-fetch-site": "cross-site"}):
            for path, dialect in PAGES.items():
                answer = await gateway.request("GET", path, headers=headers)
                assert_spoken(dialect, 403, answer.status, answer.headers, answer.body)
            for path, dialect in CHAT_PATHS.items():
                # As a page's form can send it: without a preflight.
                body = dumps(request_of(path))
                answer = await gateway.request(
                    "POST", path, body=body, headers={**headers, "content-type": "text/plain"}
                )
                assert_spoken(dialect, 403, answer.status, answer.headers, answer.body)
        assert gateway.sandbox.statistics().received == 0


async def test_this_machines_own_programs_and_pages_pass() -> None:
    async with open_loopback() as gateway:
        for host in OWN_HOSTS:
            assert (await gateway.request("GET", "/v1/models", host=host)).status == 200, host
        for origin in OWN_ORIGINS:
            headers = {"origin": origin, "sec-fetch-site": "same-site"}
            answer = await gateway.request("GET", "/v1/models", headers=headers)
            assert answer.status == 200, origin
        path = "/v1/chat/completions"
        answer = await gateway.request(
            "POST", path, body=request_of(path), headers={"origin": OWN_ORIGINS[0]}
        )
        assert answer.status == 200


async def test_probes_pass_whatever_the_host() -> None:
    async with open_loopback() as gateway:
        for path in ("/healthz", "/readyz"):
            for headers in ({}, {"origin": "http://evil.com"}):
                answer = await gateway.request("GET", path, host="10.0.0.7", headers=headers)
                assert answer.status == 200
        for path in ("/healthz/", "/HEALTHZ", "/healthz/x", "//healthz", "/healthz%2f"):
            assert (await gateway.request("GET", path, host="evil.com")).status == 403, path


KEYLESS: dict[str, object] = {
    "clients": {
        "team": {"key": "k-123"},
        "desktop": {"key": "k-456", "keyless": ["ollama"], "models": ["fast"]},
    }
}


async def test_a_client_without_keys_is_served_in_its_dialect_only() -> None:
    async with open_loopback(KEYLESS) as gateway:
        for path, dialect in CHAT_PATHS.items():
            answer = await gateway.request("POST", path, body=request_of(path))
            if dialect == OLLAMA:
                assert answer.status == 200
            else:
                assert_spoken(dialect, 401, answer.status, answer.headers, answer.body)
        for path, dialect in PAGES.items():
            answer = await gateway.request("GET", path)
            if dialect == OLLAMA:
                assert answer.status == 200, path
            else:
                assert_spoken(dialect, 401, answer.status, answer.headers, answer.body)


async def test_a_client_without_keys_may_no_more_than_its_settings_say() -> None:
    clients: dict[str, object] = {
        "clients": {"desktop": {"key": "k", "keyless": ["ollama"], "models": ["slow"]}},
        "models": {"fast": {"targets": ["up/a"]}, "slow": {"targets": ["up/b"]}},
        "providers": {"up": {"kind": "ollama", "base_url": "http://127.0.0.1:9"}},
    }
    async with open_loopback(clients) as gateway:
        answer = await gateway.request("POST", "/api/chat", body=request_of("/api/chat"))
        assert_spoken(OLLAMA, 403, answer.status, answer.headers, answer.body)
        answer = await gateway.request("POST", "/api/pull", body={"model": "fast"})
        assert_spoken(OLLAMA, 403, answer.status, answer.headers, answer.body)


@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC])
async def test_a_client_without_keys_never_sees_the_operations_pages(dialect: str) -> None:
    clients = {"desktop": {"key": "k-456", "keyless": [dialect]}}
    async with open_loopback({"clients": clients}) as gateway:
        headers = {"anthropic-version": "2023-06-01"} if dialect == ANTHROPIC else {}
        answer = await gateway.request("GET", "/v1/models", headers=headers)
        assert answer.status == 200
        answer = await gateway.request("GET", "/forebay/status", headers=headers)
        assert_spoken(dialect, 401, answer.status, answer.headers, answer.body)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer wrong"},
        {"authorization": "Bearer"},
        {"authorization": "Basic a"},
        {"x-api-key": "wrong"},
        {"api-key": "wrong"},
    ],
)
async def test_a_wrong_key_is_not_as_good_as_none(headers: dict[str, str]) -> None:
    async with open_loopback(KEYLESS) as gateway:
        answer = await gateway.request("GET", "/api/tags", headers=headers)
        assert_spoken(OLLAMA, 401, answer.status, answer.headers, answer.body)


async def test_no_foreign_page_is_a_client_without_keys() -> None:
    async with open_loopback(KEYLESS) as gateway:
        for host in FOREIGN_HOSTS:
            answer = await gateway.request("GET", "/api/tags", host=host)
            assert_spoken(OLLAMA, 403, answer.status, answer.headers, answer.body)
        for origin in FOREIGN_ORIGINS:
            answer = await gateway.request("GET", "/api/tags", headers={"origin": origin})
            assert_spoken(OLLAMA, 403, answer.status, answer.headers, answer.body)
        headers = {"sec-fetch-site": "cross-site"}
        answer = await gateway.request("GET", "/api/tags", headers=headers)
        assert_spoken(OLLAMA, 403, answer.status, answer.headers, answer.body)
        for host in OWN_HOSTS:
            assert (await gateway.request("GET", "/api/tags", host=host)).status == 200, host


def admitted(peer: str | None, ranges: list[str] | None, **headers: str) -> int:
    """The status; 200 for whoever is let in."""
    client: dict[str, object] = {"key": "k-456", "keyless": ["ollama"]}
    if ranges is not None:
        client["keyless_from"] = ranges
    door = Door(Settings.model_validate({"clients": {"desktop": client}}))
    fields = {"host": "127.0.0.1", **headers}
    try:
        let_in = door.admit(RequestHead("GET", "/api/tags", (), fields, peer=peer))
    except ApiFailure as refusal:
        return {ErrorKind.UNAUTHENTICATED: 401, ErrorKind.FORBIDDEN: 403}[refusal.error.kind]
    assert let_in.name == "desktop"
    return 200


@pytest.mark.parametrize(
    ("peer", "ranges", "status"),
    [
        ("127.0.0.1", None, 200),
        ("127.1.2.3", None, 200),
        ("::1", None, 200),
        ("::ffff:127.0.0.1", None, 200),
        ("192.168.1.5", None, 401),
        ("::ffff:192.168.1.5", None, 401),
        ("fe80::1%eth0", None, 401),
        (None, None, 401),
        ("", None, 401),
        ("a name", None, 401),
        ("192.168.1.5", ["192.168.1.0/24"], 200),
        ("192.168.2.5", ["192.168.1.0/24"], 401),
        ("127.0.0.1", ["192.168.1.0/24"], 401),
        ("10.0.0.7", ["192.168.1.0/24", "10.0.0.7"], 200),
        ("2001:db8::5", ["2001:db8::/32"], 200),
    ],
)
def test_clients_without_keys_come_from_where_they_may(
    peer: str | None, ranges: list[str] | None, status: int
) -> None:
    assert admitted(peer, ranges) == status


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("192.168.1.2:4290", 200),
        ("forebay:4290", 200),
        ("[fe80::1]", 200),
        ("localhost", 200),
        ("evil.com", 403),
        ("evil.com:4290", 403),
        ("192.168.1.2.evil.com", 403),
        ("nas.local", 403),
        ("[::1", 403),
    ],
)
def test_in_a_network_the_gateway_has_no_name_that_a_page_could_have(
    host: str, status: int
) -> None:
    network = ["192.168.1.0/24"]
    assert admitted("192.168.1.5", network, host=host) == status
    assert admitted("192.168.1.5", network, origin=f"http://{host}") == status


def test_whoever_forwards_says_nothing_of_where_a_client_without_keys_is() -> None:
    said = {"x-forwarded-for": "127.0.0.1", "forwarded": "for=127.0.0.1"}
    assert admitted("192.168.1.5", None, **said) == 401


@pytest.mark.parametrize("host", ["evil.com", "127.0.0.1", "gateway.example:4290", "[::1"])
async def test_with_keys_the_key_counts_whatever_the_host(host: str) -> None:
    config: dict[str, object] = {"clients": {"team": {"key": "k-123"}}}
    async with open_loopback(config) as gateway:
        for path, dialect in PAGES.items():
            answer = await gateway.request("GET", path, host=host)
            assert_spoken(dialect, 401, answer.status, answer.headers, answer.body)
        for path, dialect in CHAT_PATHS.items():
            answer = await gateway.request("POST", path, body=request_of(path), host=host)
            assert_spoken(dialect, 401, answer.status, answer.headers, answer.body)
        answer = await gateway.request(
            "GET",
            "/v1/models",
            host=host,
            headers={"authorization": "Bearer k-123", "origin": "https://app.example"},
        )
        assert answer.status == 200
        assert (await gateway.request("GET", "/healthz", host=host)).status == 200
