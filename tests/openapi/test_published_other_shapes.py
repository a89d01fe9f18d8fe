"""The answers of all other endpoints of OpenAI's and Ollama's APIs, over every provider, held to
what those two publish: every answer, event and error that the gateway gives there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from live_gateway import UPSTREAMS, LiveGateway, live_gateway
from published_documents import document
from published_exchanges import check_exchange
from sdk_wire import Wire

OVER = (*UPSTREAMS, "s")
"""The last one takes the requests of every API as they come."""
BOTH_WAYS = (False, True)

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
EMBEDDINGS = "/v1/embeddings"
RESPONSES = "/v1/responses"


@dataclass(frozen=True)
class Asked:
    """A request, without its model."""

    path: str
    body: Mapping[str, Any]
    over: tuple[str, ...] = OVER
    """Who can answer it. By all others it is refused."""
    ways: tuple[bool | None, ...] = BOTH_WAYS
    """Values of ``stream``; None: not said."""
    events: tuple[str, ...] = ()
    """That a stream of responses has to have, among others."""

    @property
    def dialect(self) -> str:
        return dialect_of(self.path)


def dialect_of(path: str) -> str:
    return "ollama" if path.startswith("/api/") else "openai"


def published(path: str) -> str:
    """As the documents write it."""
    return path.removeprefix("/v1")


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


FUNCTIONS = [
    {"name": name, "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
    for name in ("get_weather", "get_time")
]
TOOLS = [{"type": "function", "function": function} for function in FUNCTIONS]
FLAT_TOOLS = [{"type": "function", "strict": False, **function} for function in FUNCTIONS]
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}

ASKED = {
    "chat, two choices": Asked(CHAT, {"messages": said("hi"), "n": 2}, over=("o", "s")),
    "chat, logprobs": Asked(
        CHAT, {"messages": said("hi"), "logprobs": True, "top_logprobs": 2}, over=("o", "l", "s")
    ),
    "chat, functions": Asked(CHAT, {"messages": said("use the tool"), "functions": FUNCTIONS}),
    "chat, usage": Asked(
        CHAT, {"messages": said("hi"), "stream_options": {"include_usage": True}}, ways=(True,)
    ),
    "completion": Asked(COMPLETIONS, {"prompt": "hello"}),
    "completions": Asked(COMPLETIONS, {"prompt": ["a", "b"], "max_tokens": 4, "stop": ["x"]}),
    "completions, usage": Asked(
        COMPLETIONS, {"prompt": "a", "stream_options": {"include_usage": True}}, ways=(True,)
    ),
    "completions, logprobs": Asked(COMPLETIONS, {"prompt": "a", "logprobs": 2}, over=("o", "s")),
    "embedding": Asked(EMBEDDINGS, {"input": "a"}, over=("o", "l", "s"), ways=(None,)),
    "embeddings": Asked(
        EMBEDDINGS,
        {"input": ["a", "b"], "encoding_format": "float"},
        over=("o", "l", "s"),
        ways=(None,),
    ),
    "response": Asked(
        RESPONSES,
        {"input": "hello", "instructions": "Be kind.", "metadata": {"a": "b"}, "temperature": 0.5},
        events=("created", "in_progress", "output_text.delta", "completed"),
    ),
    "response, tools": Asked(
        RESPONSES,
        {"input": "use all tools", "tools": FLAT_TOOLS},
        events=("function_call_arguments.delta", "function_call_arguments.done", "completed"),
    ),
    "response, thinking": Asked(
        RESPONSES,
        {"input": "hello", "reasoning": {"effort": "low", "summary": "auto"}},
        events=("reasoning_summary_part.added", "reasoning_summary_text.delta", "completed"),
    ),
    "response, encrypted": Asked(
        RESPONSES,
        {
            "input": "hello",
            "store": False,
            "reasoning": {"effort": "low"},
            "include": ["reasoning.encrypted_content"],
        },
    ),
    "response, cut": Asked(
        RESPONSES, {"input": "hello", "max_output_tokens": 16}, events=("incomplete",)
    ),
    "response, refusal": Asked(RESPONSES, {"input": "please refuse"}),
    "response, schema": Asked(
        RESPONSES,
        {"input": "x", "text": {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA}}},
    ),
    "count of tokens": Asked(
        f"{RESPONSES}/input_tokens", {"input": "x", "tools": FLAT_TOOLS}, ways=(None,)
    ),
    "Ollama, load": Asked("/api/chat", {"messages": []}),
    "Ollama, unload": Asked("/api/chat", {"messages": [], "keep_alive": 0}),
    "Ollama, logprobs": Asked(
        "/api/chat", {"messages": said("hi"), "logprobs": True}, over=("o", "l", "s")
    ),
    "generate": Asked("/api/generate", {"prompt": "hello", "system": "Be kind."}),
    "generate, thinking": Asked("/api/generate", {"prompt": "hello", "think": True}),
    "generate, schema": Asked("/api/generate", {"prompt": "hello", "format": SCHEMA}),
    "generate, load": Asked("/api/generate", {}),
    "generate, raw": Asked("/api/generate", {"prompt": "a", "raw": True}, over=("o", "l", "s")),
    "generate, suffix": Asked(
        "/api/generate", {"prompt": "a", "suffix": "b"}, over=("o", "l", "s")
    ),
    "embed": Asked("/api/embed", {"input": ["a", "b"]}, over=("o", "l", "s"), ways=(None,)),
    "show": Asked("/api/show", {}, ways=(None,)),
}


def post(
    http: httpx.Client, live: LiveGateway, asked: Asked, model: str, stream: bool | None
) -> httpx.Response:
    body = {"model": model, **asked.body, **({} if stream is None else {"stream": stream})}
    return http.post(live.url + asked.path, json=body)


CASES = [
    pytest.param(name, upstream, stream, id=f"{name}-{upstream}-{stream}")
    for name, asked in ASKED.items()
    for upstream in OVER
    for stream in asked.ways
]


@pytest.mark.parametrize(("name", "upstream", "stream"), CASES)
def test_an_answer_or_refusal_is_as_published(
    gateway: LiveGateway,
    http: httpx.Client,
    wire: Wire,
    name: str,
    upstream: str,
    stream: bool | None,
) -> None:
    asked = ASKED[name]
    answer = post(http, gateway, asked, f"{upstream}/sandbox-chat", stream)
    assert answer.status_code == (200 if upstream in asked.over else 400), answer.text
    held = check_exchange(asked.dialect, wire.last, published(asked.path))
    if answer.status_code == 200 and asked.path == RESPONSES and stream:
        events = {event for event, _ in wire.last.frames}
        assert {f"response.{event}" for event in asked.events} <= events
    assert ("error" in held) == (answer.status_code != 200)


@pytest.mark.parametrize("upstream", OVER)
def test_what_is_kept_is_as_published(
    gateway: LiveGateway, http: httpx.Client, wire: Wire, upstream: str
) -> None:
    url = gateway.url + RESPONSES
    body = {"model": f"{upstream}/sandbox-chat", "input": "use all tools", "tools": FLAT_TOOLS}
    called = http.post(url, json=body).json()
    results = [
        {"type": "function_call_output", "call_id": item["call_id"], "output": "x"}
        for item in called["output"]
        if item["type"] == "function_call"
    ]
    answer = http.post(
        url, json={**body, "input": results, "previous_response_id": called["id"]}
    ).json()
    assert http.get(f"{url}/{answer['id']}").json() == answer
    check_exchange("openai", wire.last, "/responses/{response_id}")
    items = http.get(f"{url}/{answer['id']}/input_items").json()["data"]
    assert {item["type"] for item in items} == {
        *("message", "function_call", "function_call_output")
    }
    check_exchange("openai", wire.last, "/responses/{response_id}/input_items")


def test_what_runs_in_the_background_is_as_published(
    gateway: LiveGateway, http: httpx.Client, wire: Wire
) -> None:
    """Where the target makes answers so."""
    url = gateway.url + RESPONSES
    body = {"model": "s/sandbox-chat", "input": "hello", "background": True}
    queued = http.post(url, json=body).json()
    check_exchange("openai", wire.last, "/responses")
    assert queued["status"] in ("queued", "in_progress")
    for method, path in (("GET", ""), ("POST", "/cancel")):
        assert http.request(method, f"{url}/{queued['id']}{path}").status_code == 200
        check_exchange("openai", wire.last, f"/responses/{{response_id}}{path}")


def test_a_compacted_conversation_is_as_published(
    gateway: LiveGateway, http: httpx.Client, wire: Wire
) -> None:
    body = {"model": "s/sandbox-chat", "input": [{"role": "user", "content": "hello"}]}
    answer = http.post(f"{gateway.url}{RESPONSES}/compact", json=body)
    assert answer.status_code == 200, answer.text
    check_exchange("openai", wire.last, "/responses/compact")


LISTS = {
    "/v1/models": "/models",
    "/v1/models/o/sandbox-chat": "/models/{model}",
    "/api/tags": "/api/tags",
    "/api/ps": "/api/ps",
    "/api/version": "/api/version",
}


@pytest.mark.parametrize("path", LISTS)
def test_a_list_is_as_published(
    gateway: LiveGateway, http: httpx.Client, wire: Wire, path: str
) -> None:
    assert http.get(gateway.url + path).status_code == 200
    check_exchange(dialect_of(path), wire.last, LISTS[path])


def test_all_that_is_published_is_looked_at() -> None:
    looked = {f"POST {published(asked.path)}" for asked in ASKED.values()}
    looked |= {f"GET {path}" for path in LISTS.values()}
    looked |= {"GET /responses/{response_id}", "GET /responses/{response_id}/input_items"}
    looked |= {"POST /responses/{response_id}/cancel", "POST /responses/compact"}
    listed = {*document("openai")["responses"], *document("ollama")["responses"]}
    assert {operation.rpartition(" ")[0] for operation in listed} == looked


# Errors

FIRST = (CHAT, COMPLETIONS, RESPONSES, "/api/chat", "/api/generate")
"""All that ask a model for an answer."""


def asking(path: str, model: str, text: str) -> dict[str, Any]:
    match path:
        case "/v1/responses":
            question: dict[str, Any] = {"input": text}
        case "/v1/completions" | "/api/generate":
            question = {"prompt": text}
        case _:
            question = {"messages": said(text)}
    return {"model": model, **question}


FAULTS = {"400": 400, "context": 400, "500": 502, "garbage": 502, "reset": 502, "quota": 503}
"""Of an upstream, and the status that a client hears."""


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_what_an_upstream_refuses_is_told_as_published(
    http: httpx.Client, wire: Wire, upstream: str, fault: str
) -> None:
    for path in FIRST:
        body = asking(path, f"{upstream}/sandbox-chat", f"[[fault: {fault}]]")
        # Faults leave traces at their target: a gateway for each.
        with live_gateway() as live:
            assert http.post(live.url + path, json=body).status_code == FAULTS[fault]
        assert check_exchange(dialect_of(path), wire.last, published(path)) == ["error"]


MIDSTREAM = ("error-midstream=4", "reset-midstream=4", "end-midstream=4")


@pytest.mark.parametrize("fault", MIDSTREAM)
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_how_a_stream_breaks_off_is_told_as_published(
    http: httpx.Client, wire: Wire, upstream: str, fault: str
) -> None:
    for path in FIRST:
        body = asking(path, f"{upstream}/sandbox-chat", f"a [[fault: {fault}]]")
        with live_gateway() as live, suppress(httpx.RemoteProtocolError):
            http.post(live.url + path, json={**body, "stream": True})
        assert wire.last.status == 200
        held = check_exchange(dialect_of(path), wire.last, published(path))
        assert len(held) > 2
        if path == RESPONSES:
            assert wire.last.frames[-1][0] == "response.failed"
        else:
            assert held[-1] == "error"


def test_a_held_response_is_as_published(http: httpx.Client, wire: Wire) -> None:
    wait = {"hold": "keepalive", "keepalive_after_ms": 40, "keepalive_every_ms": 40}
    with live_gateway({"wait": wait}) as live:
        for upstream in OVER:
            body = {"model": f"{upstream}/sandbox-chat", "input": "x [[fault: slow-head=800]]"}
            http.post(live.url + RESPONSES, json={**body, "stream": True})
            check_exchange("openai", wire.last, "/responses")
            events = [event for event, _ in wire.last.frames]
            assert events.count("response.in_progress") > 2
            assert events[-1] == "response.completed"


WRONG = {
    "no model": ("POST", CHAT, {"messages": said("a")}, 400),
    "no messages": ("POST", CHAT, {"model": "o/sandbox-chat"}, 400),
    "no such model": ("POST", CHAT, {"model": "nobody", "messages": said("a")}, 404),
    "wrong type": ("POST", RESPONSES, {"model": "o/sandbox-chat", "input": 5}, 400),
    "no such response": ("GET", f"{RESPONSES}/resp_1", None, 404),
    "no such response to delete": ("DELETE", f"{RESPONSES}/resp_1", None, 404),
    "no such answer to go on from": (
        "POST",
        RESPONSES,
        {"model": "o/sandbox-chat", "input": "a", "previous_response_id": "resp_1"},
        400,
    ),
    "no such model to show": ("GET", "/v1/models/nobody", None, 404),
    "no such path": ("GET", "/v1/nothing", None, 404),
    "wrong method": ("GET", CHAT, None, 405),
    "stored chats": ("GET", f"{CHAT}/chatcmpl-1", None, 404),
    "not an embedding": ("POST", EMBEDDINGS, {"model": "o/sandbox-chat", "input": [1.5]}, 400),
    "Ollama, no model": ("POST", "/api/chat", {"messages": said("a")}, 400),
    "Ollama, no such model": ("POST", "/api/chat", {"model": "nobody"}, 404),
    "Ollama, wrong type": ("POST", "/api/generate", {"model": "l/sandbox-chat", "prompt": 5}, 400),
    "Ollama, no body": ("POST", "/api/generate", None, 400),
    "Ollama, no such path": ("GET", "/api/nothing", None, 404),
    "Ollama, wrong method": ("GET", "/api/chat", None, 405),
    "Ollama, no such model to show": ("POST", "/api/show", {"model": "nobody"}, 404),
    "Ollama, nowhere to pull": ("POST", "/api/pull", {"model": "o/sandbox-chat"}, None),
}
"""Method, path, body and status; None: any that is an error."""


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_told_as_published(
    gateway: LiveGateway, http: httpx.Client, wire: Wire, name: str
) -> None:
    method, path, body, status = WRONG[name]
    content = b"" if body is None else json.dumps(body).encode()
    answer = http.request(method, gateway.url + path, content=content)
    assert answer.status_code == status or (status is None and answer.status_code >= 400)
    assert check_exchange(dialect_of(path), wire.last, published(path)) == ["error"]


@pytest.mark.parametrize("path", FIRST)
def test_a_wrong_key_and_a_spent_limit_are_told_as_published(
    http: httpx.Client, wire: Wire, path: str
) -> None:
    config = {
        "wait": {"max_wait_ms": 0},
        "clients": {"somebody": {"key": "key-of-somebody"}},
    }
    with live_gateway(config, provider={"limits": {"rpm": 1, "burst": 1}}) as live:
        body = asking(path, "o/sandbox-chat", "hi")
        heard = []
        for key in ("key-of-nobody", "key-of-somebody", "key-of-somebody"):
            headers = {"authorization": f"Bearer {key}"}
            heard.append(http.post(live.url + path, json=body, headers=headers).status_code)
            check_exchange(dialect_of(path), wire.last, published(path))
        assert heard == [401, 200, 429]
