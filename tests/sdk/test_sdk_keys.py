"""Whose request it is: keys at the gateway's door, and what never goes past it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import httpx
import ollama
import pytest
from live_gateway import UPSTREAMS, LiveGateway, live_gateway
from sdk_errors import ERROR_CLASSES, UNAVAILABLE, error_message
from sdk_questions import Question
from sdk_speakers import CLIENTS, OpenSpeaker, both_ways, nine_pairs

from forebay.endpoints.sandbox import SandboxOptions

KEY = "key-of-alice"
DIALECT_OF_PATH = {
    "/v1/chat/completions": "openai",
    "/v1/models": "openai",
    "/v1/nothing": "openai",
    "/v1/messages": "anthropic",
    "/api/chat": "ollama",
    "/api/generate": "ollama",
    "/api/tags": "ollama",
    "/api/show": "ollama",
}
HELLO = Question(text="hello", model="o/sandbox-chat")


@pytest.fixture(scope="module")
def locked_gateway() -> Iterator[LiveGateway]:
    """With keys; Bob may use only two models."""
    config = {
        "models": {"fast": {"targets": ["o/sandbox-chat"]}},
        "clients": {
            "alice": {"key": KEY},
            "bob": {"key": "key-of-bob", "models": ["fast", "a/sandbox-chat"]},
        },
    }
    with live_gateway(config) as live:
        yield live


@both_ways
@pytest.mark.parametrize("client", CLIENTS)
def test_a_wrong_key_raises_the_sdks_own_class_once(
    locked_gateway: LiveGateway, open_speaker: OpenSpeaker, client: str, stream: bool
) -> None:
    """Trap 3."""
    speaker = open_speaker(client, locked_gateway.url, key="key-of-nobody", max_retries=2)
    with pytest.raises(ERROR_CLASSES[client][401]):
        speaker.ask(HELLO, stream=stream)
    (heard,) = speaker.wire.exchanges
    message = error_message(client, 401, heard.headers, heard.body)
    assert "key-of-nobody" not in message
    with pytest.raises(ERROR_CLASSES[client][401]):
        speaker.models()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer"},
        {"authorization": KEY},
        {"authorization": f"Basic {KEY}"},
        {"x-api-key": "wrong"},
        {"authorization": "Bearer wrong", "x-api-key": KEY},
    ],
    ids=["none", "empty", "no scheme", "basic", "wrong", "the first one counts"],
)
@pytest.mark.parametrize("path", DIALECT_OF_PATH)
def test_without_a_right_key_every_path_is_a_401(
    locked_gateway: LiveGateway, http: httpx.Client, path: str, headers: dict[str, str]
) -> None:
    """Trap 3, whatever else is wrong with the request."""
    method = "GET" if path in ("/v1/models", "/api/tags") else "POST"
    answer = http.request(method, locked_gateway.url + path, headers=headers, content=b"{")
    assert answer.status_code == 401
    message = error_message(DIALECT_OF_PATH[path], 401, answer.headers, answer.content)
    assert KEY not in message


@pytest.mark.parametrize("client", CLIENTS)
def test_a_right_key_is_taken_as_each_sdk_sends_it(
    locked_gateway: LiveGateway, open_speaker: OpenSpeaker, client: str
) -> None:
    """Trap 2: the Anthropic SDK sends its key as a bearer now, and a version of its own."""
    speaker = open_speaker(client, locked_gateway.url, key=KEY)
    assert speaker.ask(HELLO, stream=False).text.startswith("You said: hello\n")
    sent = speaker.wire.last.request_headers
    assert sent["authorization"] == f"Bearer {KEY}"
    assert sent.get("anthropic-version") == ("2026-10-21" if client == "anthropic" else None)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": KEY, "anthropic-version": "2023-06-01"},
        {"authorization": f"bearer {KEY}", "anthropic-version": "2026-10-21"},
        {"api-key": KEY},
    ],
    ids=["anthropic 1.x", "anthropic 2.x", "azure"],
)
def test_a_right_key_is_taken_in_every_header_that_clients_use(
    locked_gateway: LiveGateway, http: httpx.Client, headers: dict[str, str]
) -> None:
    """Trap 2."""
    body = {
        "model": "a/sandbox-chat",
        "max_tokens": 50,
        "messages": [{"role": "user", "content": "x"}],
    }
    answer = http.post(f"{locked_gateway.url}/v1/messages", json=body, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (200, "message")


@nine_pairs
def test_a_model_that_is_not_for_this_client_is_a_403(
    locked_gateway: LiveGateway, open_speaker: OpenSpeaker, client: str, upstream: str
) -> None:
    speaker = open_speaker(client, locked_gateway.url, key="key-of-bob", max_retries=2)
    model = f"{upstream}/sandbox-chat"
    allowed = upstream == "a"
    for stream in (False, True):
        question = Question(text="hello", model=model)
        if allowed:
            assert speaker.ask(question, stream=stream).text
            continue
        with pytest.raises(ERROR_CLASSES[client][403]):
            speaker.ask(question, stream=stream)
        heard = speaker.wire.last
        assert model in error_message(client, 403, heard.headers, heard.body)
    assert len(speaker.wire.exchanges) == 2
    assert speaker.ask(Question(text="hello", model="fast"), stream=False).text


SECRETS = {
    "authorization": f"Bearer {KEY}",
    "x-api-key": KEY,
    "cookie": "session=secret-cookie",
    "proxy-authorization": "Basic secret-proxy",
    "openai-organization": "secret-org",
    "openai-project": "secret-project",
    "x-forwarded-for": "10.1.2.3",
    "anthropic-workspace-id": "secret-workspace",
}


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/api/chat"])
def test_nothing_that_says_who_the_client_is_leaves_the_gateway(
    locked_gateway: LiveGateway, http: httpx.Client, path: str, upstream: str
) -> None:
    """Trap 4, relayed or translated."""
    messages = [{"role": "user", "content": "hello"}]
    body = {"model": f"{upstream}/sandbox-chat", "max_tokens": 50, "messages": messages}
    assert http.post(locked_gateway.url + path, json=body, headers=SECRETS).status_code == 200
    sent = locked_gateway.requests()[-1]
    shown = json.dumps(dict(sent.headers)) + sent.body.decode()
    for secret in (KEY, "secret-", "10.1.2.3"):
        assert secret not in shown
    assert sent.headers.get("x-api-key") == ("a-key" if upstream == "a" else None)


@both_ways
@pytest.mark.parametrize("client", CLIENTS)
def test_a_dead_key_of_the_gateway_is_never_blamed_on_the_client(
    open_speaker: OpenSpeaker, client: str, stream: bool
) -> None:
    """Trap 11: a 401 of a provider takes the provider out; its client hears of an outage."""
    options = SandboxOptions(api_key="the-right-one")
    with live_gateway(sandbox=options, provider={"api_key": "revoked"}) as live:
        speaker = open_speaker(client, live.url, max_retries=2)
        for upstream in UPSTREAMS:
            for _ in range(2):
                question = Question(text="hello", model=f"{upstream}/sandbox-chat")
                status = UNAVAILABLE[client]
                with pytest.raises(ERROR_CLASSES[client][status]):
                    speaker.ask(question, stream=stream)
                heard = speaker.wire.last
                assert heard.status == status
                message = error_message(client, status, heard.headers, heard.body)
                assert "the provider rejects the key" in message
                assert "revoked" not in message
                assert heard.headers["x-should-retry"] == "false"
        assert len(speaker.wire.exchanges) == 2 * len(UPSTREAMS)
        # Each provider was asked once; then it was known to be out.
        assert live.statistics().refused == {401: len(UPSTREAMS)}


def test_a_dead_key_leaves_the_other_targets(open_speaker: OpenSpeaker) -> None:
    """Trap 11: the provider is asked once more at most, and the client hears nothing of it."""
    key = "the-right-one"
    config = {"models": {"fast": {"targets": ["a/sandbox-chat", "o/sandbox-chat"]}}}
    providers = {"a": {"api_key": "revoked"}, "o": {"api_key": key}}
    with live_gateway(config, sandbox=SandboxOptions(api_key=key), providers=providers) as live:
        attempts = []
        for client in CLIENTS:
            speaker = open_speaker(client, live.url)
            said = speaker.ask(Question(text="hello", model="fast"), stream=True)
            assert said.heard.headers["x-forebay-target"] == "o/sandbox-chat"
            attempts.append(said.heard.headers["x-forebay-attempts"])
        assert attempts == ["2", "1", "1"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_ollama_client_without_a_key_is_the_client_that_needs_none(
    http: httpx.Client, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    """Most of Ollama's clients have no place for a key: they are served, and nobody else is."""
    monkeypatch.delenv("OLLAMA_API_KEY", raising=False)
    clients = {"desktop": {"key": KEY, "keyless": ["ollama"]}, "bob": {"key": "key-of-bob"}}
    messages = [{"role": "user", "content": "hello"}]
    with live_gateway({"clients": clients}) as live, ExitStack() as stack:
        opened = partial(ollama.Client, host=live.url, trust_env=False)
        client, stranger = opened(), opened(headers={"authorization": "Bearer wrong"})
        for one in (client, stranger):
            stack.callback(one.close)
        assert "authorization" not in client._client.headers
        if stream:
            pieces = client.chat("o/sandbox-chat", messages, stream=True)
            text = "".join(piece.message.content or "" for piece in pieces)
        else:
            text = client.chat("o/sandbox-chat", messages).message.content or ""
        assert text.startswith("You said: hello\n")
        assert client.list().models
        assert http.get(f"{live.url}/v1/models").status_code == 401
        with pytest.raises(ollama.ResponseError) as refused:
            stranger.list()
        assert refused.value.status_code == 401
