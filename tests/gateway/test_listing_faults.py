"""A provider that lists no models is diagnosed in one line, for whoever wrote its ``base_url``."""

from __future__ import annotations

import logging

import pytest
import trio
from trio.testing import MockClock
from worlds import open_world

from forebay.actors.providers.listing_faults import (
    ListingAnswer,
    NotAListing,
    base_url_advice,
    read_listing,
)
from forebay.protocol.providers import PROFILES

PAGE = b"<!doctype html>\n<html><head><title>Welcome\n to nginx!</title></head></html>"
KEY = "sk-SECRET-1234567890"


def answer(
    status: int, body: bytes = b"", *, content_type: str = "application/json", location: str = ""
) -> ListingAnswer:
    return ListingAnswer(status=status, body=body, content_type=content_type, location=location)


def fault(said: ListingAnswer, base_url: str, kind: str = "openai_compatible") -> str:
    def without_secrets(text: bytes) -> bytes:
        return text.replace(KEY.encode(), b"[secret]")

    with pytest.raises(NotAListing) as raised:
        read_listing(said, PROFILES[kind], base_url, without_secrets=without_secrets)
    message = str(raised.value)
    assert "\n" not in message
    assert len(message) < 600
    assert "SECRET" not in message
    return message


def test_a_listing_is_read_whatever_type_it_says_it_is() -> None:
    models = read_listing(
        answer(200, b'{"data":[{"id":"m"}]}', content_type="text/html"),
        PROFILES["openai_compatible"],
        "http://host:8000/v1",
        without_secrets=bytes,
    )
    assert [model.id for model in models] == ["m"]


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (answer(404, b'{"detail":"Not Found"}'), "status 404: Not Found"),
        (answer(404, b"404 page not found"), "status 404: 404 page not found"),
        (answer(404, PAGE), 'a web page "Welcome to nginx!" (HTML, status 404)'),
        (answer(200, PAGE), 'a web page "Welcome to nginx!" (HTML, status 200)'),
        (answer(200, b"hello", content_type="text/html"), "a web page (HTML, status 200)"),
        (answer(200, b"hello"), "status 200, but the upstream's answer is no list of models"),
        (
            answer(301, location=f"https://u:p@host:8443/web/?k={KEY}"),
            "status 301, a redirect to https://host:8443/web/",
        ),
        (answer(302, location="/login"), "status 302, a redirect to http://host:8000/login"),
        (answer(307, location="http://[oops"), "status 307, a redirect to an address that is none"),
    ],
)
def test_what_was_found_is_said_with_the_form_that_is_usual(
    said: ListingAnswer, found: str
) -> None:
    message = fault(said, "http://host:8000")
    assert message.startswith(f"GET http://host:8000/models answered with {found}")
    advice = "; for kind 'openai_compatible' base_url is usually written as http://host:8000/v1"
    assert message.endswith(advice)


@pytest.mark.parametrize("status", [401, 403, 429, 500, 502, 503])
def test_other_refusals_are_no_fault_of_the_url(status: int) -> None:
    message = fault(answer(status, b'{"error":{"message":"go away"}}'), "http://host:8000")
    assert message == f"GET http://host:8000/models answered with status {status}: go away"
    assert "base_url" not in fault(answer(status, PAGE), "http://host:8000")


@pytest.mark.parametrize("kind", PROFILES)
@pytest.mark.parametrize("status", [200, 404, 500])
def test_no_secret_is_repeated_not_even_half_of_one(kind: str, status: int) -> None:
    for length in range(150, 210):
        words = b"x" * length + KEY.encode() * 300
        fault(answer(status, b'{"error":"' + words + b'"}'), "http://host:8000", kind)
        fault(answer(status, words), "http://host:8000", kind)
        fault(answer(status, b"<title>" + words[-90:]), "http://host:8000", kind)
    fault(answer(301, location=f"http://host/{KEY}"), "http://host:8000", kind)


@pytest.mark.parametrize(
    ("kind", "written", "better"),
    [
        ("openai_compatible", "http://h:8000", "http://h:8000/v1"),
        ("openai_compatible", "http://h/proxy/v1/chat/completions", "http://h/proxy/v1"),
        ("openai_compatible", "http://h/v1/models", "http://h/v1"),
        ("openai_compatible", "https://h/v1/v1/messages", "https://h/v1"),
        ("openai_compatible", "http://h:11434/api", "http://h:11434/v1"),
        ("openai", "https://api.openai.com", "https://api.openai.com/v1"),
        ("anthropic", "https://api.anthropic.com/v1", "https://api.anthropic.com"),
        ("anthropic", "https://api.anthropic.com/v1/messages", "https://api.anthropic.com"),
        ("ollama", "http://h:11434/v1", "http://h:11434"),
        ("ollama", "http://h:11434/api", "http://h:11434"),
        ("sandbox", "http://h:1/v1", "http://h:1"),
    ],
)
def test_each_kind_has_its_own_form(kind: str, written: str, better: str) -> None:
    profile = PROFILES[kind]
    assert base_url_advice(profile, written).endswith(f"is usually written as {better}")
    assert "usual form" in base_url_advice(profile, better)
    assert "check its host" in fault(answer(404, PAGE), better, kind)


async def test_the_log_and_the_operators_view_say_it_once(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    page = b"HTTP/1.1 404 Not Found\r\ncontent-type: text/html\r\ncontent-length: %d\r\n\r\n%b"

    async def serve_pages(stream: trio.abc.Stream) -> None:
        while await stream.receive_some():
            await stream.send_all(page % (len(PAGE), PAGE))

    base_url = "http://web.test:8000"
    async with open_world(provider={"base_url": base_url, "api_key": KEY}) as world:
        world.network.plug("web.test", serve_pages)
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="forebay.provider"):
            await trio.sleep(200)
        expected = (
            f'GET {base_url}/models answered with a web page "Welcome to nginx!" (HTML, status '
            f"404); for kind 'openai_compatible' base_url is usually written as {base_url}/v1"
        )
        assert [record.getMessage() for record in caplog.records] == [
            f"provider up lists no models: {expected}"
        ]
        (provider,) = (await world.gateway.status()).providers
        assert provider.listing == f"failed: {expected}"


async def test_hosts_are_told_apart_and_not_too_many_of_them(autojump_clock: MockClock) -> None:
    urls = [f"http://h{number}.test/v1" for number in range(5)]
    config = {"providers": {"up": {"kind": "ollama", "hosts": urls}}}
    async with open_world(config) as world:
        serve = world.network.unplug("up.test")
        for number in range(5):
            world.network.plug(f"h{number}.test", serve)
        await trio.sleep(61)
        (provider,) = (await world.gateway.status()).providers
        assert provider.listing.count("base_url is usually written as http://h") == 3
        assert provider.listing.endswith("; and 2 more hosts")
