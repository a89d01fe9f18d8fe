"""Without keys only this machine's own programs are served: never a page that a browser shows,
whatever name it rebound to this address. With keys it is the key that counts."""

from __future__ import annotations

import pytest
from loopback_gateway import open_loopback
from spoken_errors import ANTHROPIC, CHAT_PATHS, OLLAMA, OPENAI, assert_spoken, request_of

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
