"""What is the client's own fault is answered at once, in the client's dialect, by the gateway."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from live_gateway import UPSTREAMS, LiveGateway, live_gateway
from sdk_errors import ERROR_CLASSES, error_message
from sdk_questions import Question, Speaker
from sdk_speakers import CLIENTS, OpenSpeaker

PATHS = {
    "openai": ("/v1/chat/completions",),
    "anthropic": ("/v1/messages",),
    "ollama": ("/api/chat", "/api/generate"),
}
ENDPOINTS = [(dialect, path) for dialect, paths in PATHS.items() for path in paths]
DEEP = b"[" * 200_000
USER = {"role": "user", "content": "hello"}


def request_of(dialect: str, upstream: str) -> dict[str, Any]:
    """The fields of a request that is answered."""
    fields: dict[str, Any] = {"model": f"{upstream}/sandbox-chat", "messages": [USER]}
    if dialect == "anthropic":
        fields["max_tokens"] = 100
    return fields


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nul",
        b'{"model": "o/sandbox-chat",}',
        b"[]",
        b'"text"',
        b"\xff\xfe{\x00}\x00",
        b'{"model": "\xe9"}',
        DEEP,
    ],
    ids=["empty", "cut", "no literal", "comma", "array", "string", "UTF-16", "Latin-1", "deep"],
)
@pytest.mark.parametrize(("dialect", "path"), ENDPOINTS)
def test_a_body_that_is_no_json_object_is_a_400(
    gateway: LiveGateway, http: httpx.Client, dialect: str, path: str, body: bytes
) -> None:
    """Section Z: never a 500."""
    answer = http.post(gateway.url + path, content=body)
    assert answer.status_code == 400
    error_message(dialect, 400, answer.headers, answer.content)


@dataclass(frozen=True)
class BadField:
    name: str
    changes: dict[str, Any]
    """Fields put in; those that are ... are left out."""
    clients: tuple[str, ...] = CLIENTS
    names: str = ""
    """What the message must name; the changed field where this is empty."""


BAD_FIELDS = [
    BadField("no model", {"model": ...}),
    BadField("model is null", {"model": None}),
    BadField("model is a number", {"model": 5}),
    BadField("model is empty", {"model": ""}),
    # In Ollama's dialect a chat without messages loads the model.
    BadField("no messages", {"messages": ...}, ("openai", "anthropic")),
    BadField("messages is empty", {"messages": []}, ("openai", "anthropic")),
    BadField("messages is text", {"messages": "hello"}),
    BadField("message is text", {"messages": ["hello"]}),
    BadField("no role", {"messages": [{"content": "hello"}]}, names="role"),
    BadField("unknown role", {"messages": [{**USER, "role": "king"}]}, names="role"),
    BadField("content is a number", {"messages": [{**USER, "content": 5}]}, names="content"),
    BadField("no content", {"messages": [{"role": "user"}]}, ("openai", "anthropic"), "content"),
    BadField("stream is text", {"stream": "yes"}),
    BadField("tools is an object", {"tools": {"name": "x"}}),
    BadField("tool is text", {"tools": ["x"]}),
    BadField("limit is text", {"max_tokens": "many"}, ("openai", "anthropic")),
    BadField("limit is a fraction", {"max_tokens": 1.5}, ("openai", "anthropic")),
    BadField("no limit", {"max_tokens": ...}, ("anthropic",)),
    BadField("temperature is text", {"temperature": "hot"}, ("openai", "anthropic")),
    BadField("stop is a number", {"stop": 5}, ("openai",)),
    BadField("stop is a number", {"stop_sequences": 5}, ("anthropic",)),
    BadField("schema is text", {"response_format": "json"}, ("openai",)),
    BadField("tool choice is a number", {"tool_choice": 5}, ("openai", "anthropic")),
    BadField("options is a list", {"options": [1]}, ("ollama",)),
    BadField("think is a riddle", {"think": "weird"}, ("ollama",)),  # trap 45
    BadField("format is a number", {"format": 5}, ("ollama",)),
    BadField("image is no base64", {"messages": [{**USER, "images": ["%"]}]}, ("ollama",), "image"),
]
BAD_REQUESTS = [(client, field) for field in BAD_FIELDS for client in field.clients]


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize(
    ("client", "field"),
    BAD_REQUESTS,
    ids=[f"{client}: {field.name}" for client, field in BAD_REQUESTS],
)
def test_a_wrong_field_is_a_400_that_names_it(
    gateway: LiveGateway, http: httpx.Client, client: str, upstream: str, field: BadField
) -> None:
    """Section Z: missing fields and no model; no upstream is asked."""
    changed = {**request_of(client, upstream), **field.changes}
    body = {name: value for name, value in changed.items() if value is not ...}
    before = gateway.statistics().received
    answer = http.post(gateway.url + PATHS[client][0], json=body)
    assert answer.status_code == 400, answer.text
    message = error_message(client, 400, answer.headers, answer.content)
    said = json.dumps(answer.json()) if client == "openai" else message
    assert (field.names or next(iter(field.changes))) in said
    assert gateway.statistics().received == before


@pytest.mark.parametrize("name", ["nobody", "x/sandbox-chat", "o/nobody", "a/nobody", "l/nobody"])
@pytest.mark.parametrize("client", CLIENTS)
def test_an_unknown_model_is_a_404(speakers: dict[str, Speaker], client: str, name: str) -> None:
    """Unknown to the gateway, or to the provider that is named."""
    speaker = speakers[client]
    for stream in (False, True):
        with pytest.raises(ERROR_CLASSES[client][404]):
            speaker.ask(Question(text="hello", model=name), stream=stream)
        heard = speaker.wire.last
        assert heard.status == 404
        assert name[2:] in error_message(client, 404, heard.headers, heard.body)


WRONG_PATHS = [
    ("openai", "GET", "/v1/chat/completions", 405),
    ("openai", "DELETE", "/v1/models", 405),
    ("openai", "POST", "/v1/chat/completion", 404),
    ("openai", "GET", "/v2", 404),
    ("openai", "POST", "/v1/v1/chat/completions", 404),
    ("openai", "POST", "/chat/completions", 404),
    ("anthropic", "GET", "/v1/messages", 405),
    ("anthropic", "PUT", "/v1/messages", 405),
    ("anthropic", "POST", "/v1/messages/nothing", 404),
    ("ollama", "GET", "/api/chat", 405),
    ("ollama", "DELETE", "/api/generate", 405),
    ("ollama", "POST", "/api/tags", 405),
    ("ollama", "GET", "/api/nothing", 404),
]


@pytest.mark.parametrize(("dialect", "method", "path", "status"), WRONG_PATHS)
def test_a_wrong_path_or_method_is_said_in_the_dialect(
    gateway: LiveGateway, http: httpx.Client, dialect: str, method: str, path: str, status: int
) -> None:
    """Section Z: never the web framework's own page. A POST without a body is no exception."""
    answer = http.request(method, gateway.url + path)
    assert answer.status_code == status
    message = error_message(dialect, status, answer.headers, answer.content)
    assert path in message
    if path in ("/v1/v1/chat/completions", "/chat/completions"):
        assert "base URL" in message


def test_an_anthropic_client_on_a_wrong_path_is_told_so_in_its_dialect(
    gateway: LiveGateway, http: httpx.Client
) -> None:
    headers = {"anthropic-version": "2023-06-01"}
    for path in ("/v1/complete", "/v1/v1/messages", "/messages"):
        answer = http.post(gateway.url + path, json={}, headers=headers)
        assert answer.status_code == 404
        error_message("anthropic", 404, answer.headers, answer.content)


@pytest.fixture(scope="module")
def small_gateway() -> Iterator[LiveGateway]:
    """Takes bodies of 2000 bytes."""
    with live_gateway({"server": {"max_body_bytes": 2000, "waiting_bytes": 10_000}}) as live:
        yield live


@pytest.mark.parametrize("size", [2_000, 20_000_000])
@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
@pytest.mark.parametrize(("dialect", "path"), ENDPOINTS)
def test_a_body_over_the_limit_is_a_413(
    small_gateway: LiveGateway,
    http: httpx.Client,
    dialect: str,
    path: str,
    announced: bool,
    size: int,
) -> None:
    """Also while the client is still sending: it gets to read the answer."""
    body = json.dumps({**request_of(dialect, "o"), "user": "x" * size}).encode()
    pieces = (body[at : at + 65_536] for at in range(0, len(body), 65_536))
    answer = http.post(small_gateway.url + path, content=body if announced else pieces)
    assert answer.status_code == 413
    assert "2000 bytes" in error_message(dialect, 413, answer.headers, answer.content)


@pytest.mark.parametrize("client", CLIENTS)
def test_each_sdk_raises_its_class_for_a_413(
    small_gateway: LiveGateway, open_speaker: OpenSpeaker, client: str
) -> None:
    speaker = open_speaker(client, small_gateway.url, max_retries=2)
    with pytest.raises(ERROR_CLASSES[client][413]):
        speaker.ask(Question(text="x" * 3000, model="o/sandbox-chat"), stream=True)
    assert [exchange.status for exchange in speaker.wire.exchanges] == [413]
    said = speaker.ask(Question(text="x" * 100, model="o/sandbox-chat"), stream=True)
    assert said.text.startswith("You said: xxx")
