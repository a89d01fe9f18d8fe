"""A gateway over one imitated provider, its clients in three dialects, and what they are told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from imitations.kinds import ImitatedKind, StrictProvider
from imitations.tables import TABLES
from worlds import GATEWAY, World, open_world

CLIENTS = ("/v1/chat/completions", "/v1/messages", "/api/chat")
CREDENTIALS_OF_A_CLIENT = {"authorization": "Bearer a-clients-own", "cookie": "session=1"}
HEADERS = {"content-type": "application/json", "anthropic-version": "2023-06-01"}
OWN_PATHS = {
    "/v1/chat/completions": "/chat/completions",
    "/v1/messages": "/messages",
    "/api/chat": "/api/chat",
}
"""How paths end where a provider has the API of the client that posts to the first."""

each_kind = pytest.mark.parametrize("name", TABLES)
each_client = pytest.mark.parametrize("path", CLIENTS)


def that(**has: bool) -> pytest.MarkDecorator:
    """The tables that have these, or have them not."""
    names = [
        name
        for name, kind in TABLES.items()
        if all(bool(getattr(kind, field)) is wanted for field, wanted in has.items())
    ]
    return pytest.mark.parametrize("name", names)


@asynccontextmanager
async def world_of(
    name: str, **settings: object
) -> AsyncIterator[tuple[World, StrictProvider, ImitatedKind]]:
    kind = TABLES[name]
    server = StrictProvider(kind)
    config = {
        "wait": {"max_wait_ms": 600_000},
        "providers": {"up": {**kind.settings(), **settings}},
        "models": {
            "fast": {"targets": [f"up/{kind.model}"]},
            "vectors": {"targets": [f"up/{kind.embedding_model or kind.model}"]},
        },
    }
    async with open_world(config, sandboxes={}, hosts={"up.test": server.serve}) as world:
        yield world, server, kind


def asking(path: str, **fields: object) -> bytes:
    body: dict[str, object] = {
        "model": "fast",
        "messages": [{"role": "user", "content": "hello"}],
        **fields,
    }
    if path == "/v1/messages":
        body.setdefault("max_tokens", 100)
    if path == "/api/chat":
        body.setdefault("stream", False)
    # As no JSON library writes it: what goes through keeps it.
    return json.dumps(body, separators=(" ,", " : ")).encode()


async def post(world: World, path: str, body: bytes) -> httpx.Response:
    return await world.client.post(
        GATEWAY + path, content=body, headers={**HEADERS, **CREDENTIALS_OF_A_CLIENT}
    )


def frames(text: str) -> list[dict[str, Any]]:
    """The JSON of a stream's frames, of events or of lines."""
    lines = (line.removeprefix("data: ") for line in text.splitlines())
    return [json.loads(line) for line in lines if line.startswith("{")]


def said(path: str, answer: dict[str, Any]) -> str:
    match path, answer:
        case "/v1/chat/completions", {"choices": [{"message": {"content": str(text)}}]}:
            return text
        case "/v1/messages", {"content": [*blocks]}:
            return "".join(str(block["text"]) for block in blocks if block["type"] == "text")
        case "/api/chat", {"message": {"content": str(text)}}:
            return text
    raise AssertionError(answer)


def streamed(path: str, events: Iterable[Mapping[str, Any]]) -> str:
    text = ""
    for event in events:
        match path, event:
            case "/v1/chat/completions", {"choices": [{"delta": {"content": str(piece)}}]}:
                text += piece
            case "/v1/messages", {"delta": {"text": str(piece)}}:
                text += piece
            case "/api/chat", {"message": {"content": str(piece)}}:
                text += piece
    return text


def called(path: str, answer: dict[str, Any]) -> list[tuple[str, object]]:
    """Names and arguments."""
    match path, answer:
        case "/v1/chat/completions", {"choices": [{"message": {"tool_calls": [*calls]}}]}:
            return [(c["function"]["name"], json.loads(c["function"]["arguments"])) for c in calls]
        case "/v1/messages", {"content": [*blocks]}:
            return [(b["name"], b["input"]) for b in blocks if b["type"] == "tool_use"]
        case "/api/chat", {"message": {"tool_calls": [*calls]}}:
            return [(c["function"]["name"], c["function"]["arguments"]) for c in calls]
    raise AssertionError(answer)


def called_in_stream(path: str, events: Iterable[Mapping[str, Any]]) -> list[tuple[str, object]]:
    """Names and arguments."""
    names: dict[int, str] = {}
    arguments: dict[int, str] = {}
    whole: list[tuple[str, object]] = []
    for event in events:
        match path, event:
            case "/v1/chat/completions", {"choices": [{"delta": {"tool_calls": [*calls]}}]}:
                for call in calls:
                    at, function = call["index"], call["function"]
                    names[at] = names.get(at, "") + (function.get("name") or "")
                    arguments[at] = arguments.get(at, "") + (function.get("arguments") or "")
            case "/v1/messages", {"index": int(at), "content_block": {"name": str(name)}}:
                names[at] = name
            case "/v1/messages", {"index": int(at), "delta": {"partial_json": str(piece)}}:
                arguments[at] = arguments.get(at, "") + piece
            case "/api/chat", {"message": {"tool_calls": [*calls]}}:
                whole += [(c["function"]["name"], c["function"]["arguments"]) for c in calls]
    return whole or [(name, json.loads(arguments[at])) for at, name in sorted(names.items())]


def tools_for(path: str, *names: str) -> list[dict[str, object]]:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    if path == "/v1/messages":
        return [{"name": name, "description": "d", "input_schema": schema} for name in names]
    return [
        {"type": "function", "function": {"name": name, "description": "d", "parameters": schema}}
        for name in names
    ]
