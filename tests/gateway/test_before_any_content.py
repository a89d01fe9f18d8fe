"""Streams that fail before they have said anything: as if the call had failed at once.

For every API: all that may come before the first content, and then the stream ends, breaks, or
brings an error with status 200. The call is made again, and its client hears of nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress

import httpx
import pytest
from imitation import Answers, Imitated, Imitation, Received
from trio.testing import MockClock
from worlds import GATEWAY, open_world

from forebay.protocol.jsontext import JsonObject, dumps

CHUNK: JsonObject = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1}


def sse(value: JsonObject, *, name: str | None = None) -> bytes:
    return (f"event: {name}\n" if name else "").encode() + b"data: " + dumps(value) + b"\n\n"


def chunk(delta: JsonObject, finish: str | None = None) -> bytes:
    choice: JsonObject = {"index": 0, "delta": delta, "finish_reason": finish}
    return sse({**CHUNK, "model": "m", "choices": [choice]})


def event(kind: str, **fields: object) -> bytes:
    return sse(json.loads(json.dumps({"type": kind, **fields})), name=kind)


def line(content: str, **fields: object) -> bytes:
    said = {"model": "m", "message": {"role": "assistant", "content": content}, "done": False}
    return json.dumps({**said, **fields}).encode() + b"\n"


MESSAGE: dict[str, object] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 1},
}
START = event("message_start", message=MESSAGE)
TEXT_BLOCK = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
THINKING_BLOCK = event(
    "content_block_start", index=0, content_block={"type": "thinking", "thinking": ""}
)
RESPONSE = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "output": []}
CREATED = event("response.created", sequence_number=0, response={**RESPONSE, "status": "queued"})
ITEM = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "status": "x"}
ADDED = event("response.output_item.added", sequence_number=1, output_index=0, item=ITEM)
PART_ADDED = event(
    "response.content_part.added",
    sequence_number=2,
    output_index=0,
    content_index=0,
    item_id="msg_1",
    part={"type": "output_text", "text": "", "annotations": []},
)
DONE_TEXT = [{"type": "output_text", "text": "Hello", "annotations": []}]


class Api:
    """What a provider of one API may say before it says anything, and then."""

    def __init__(
        self,
        kind: str,
        path: str,
        body: Mapping[str, object],
        *,
        silences: Mapping[str, tuple[bytes, ...]],
        error: bytes,
        content: Mapping[str, tuple[bytes, ...]],
        good: tuple[bytes, ...],
    ) -> None:
        self.kind, self.path, self.body = kind, path, dict(body)
        self.silences, self.error, self.content, self.good = silences, error, content, good

    @property
    def content_type(self) -> str:
        return "application/x-ndjson" if self.kind == "ollama" else "text/event-stream"

    @property
    def config(self) -> dict[str, object]:
        base = {"anthropic": "", "ollama": "", "openai": "/v1"}[self.kind]
        provider = {"kind": self.kind, "base_url": f"http://other.test{base}", "api_key": "a-key"}
        return {"providers": {"up": provider}}

    def server(self, *streams: Imitated) -> Imitation:
        """Answers the first calls with these, and all others well."""
        left = list(streams)
        good = Imitated(self.good, content_type=self.content_type)

        def answer(request: Received) -> Imitated:
            return left.pop(0) if left else good

        answers: Answers = {f"POST {self.path}": answer}
        return Imitation(answers)

    def stream(self, *pieces: bytes, is_cut: bool = False) -> Imitated:
        return Imitated(pieces, content_type=self.content_type, pause=0.02, is_cut=is_cut)


MESSAGES = [{"role": "user", "content": "hi"}]
APIS = {
    "chat": Api(
        "openai",
        "/v1/chat/completions",
        {"model": "up/m", "messages": MESSAGES, "stream": True},
        silences={
            "nothing": (),
            "comments": (b": OPENROUTER PROCESSING\n\n", b":\n\n"),
            "a role": (chunk({"role": "assistant"}),),
            "empty content": (chunk({"role": "assistant", "content": ""}), chunk({"content": ""})),
            "null content": (chunk({"role": "assistant", "content": None}),),
            "empty reasoning": (chunk({"reasoning_content": "", "content": None}),),
            "no choices": (sse({**CHUNK, "model": "m", "choices": []}),),
        },
        error=sse({"error": {"message": "The engine is overloaded", "type": "server_error"}}),
        content={
            "text": (chunk({"content": "H"}),),
            "reasoning": (chunk({"reasoning_content": "Hm"}),),
            "a call": (
                chunk(
                    {
                        "tool_calls": [
                            {"index": 0, "id": "c", "function": {"name": "f", "arguments": ""}}
                        ]
                    }
                ),
            ),
        },
        good=(chunk({"content": "Hello"}), chunk({}, "stop"), b"data: [DONE]\n\n"),
    ),
    "messages": Api(
        "anthropic",
        "/v1/messages",
        {"model": "up/m", "max_tokens": 9, "messages": MESSAGES, "stream": True},
        silences={
            "nothing": (),
            "a ping": (event("ping"),),
            "a beginning": (START,),
            "a beginning and a ping": (START, event("ping")),
            "a block of text": (START, TEXT_BLOCK),
            "a block of thinking": (START, THINKING_BLOCK),
            "empty text": (
                START,
                TEXT_BLOCK,
                event("content_block_delta", index=0, delta={"type": "text_delta", "text": ""}),
            ),
        },
        error=event("error", error={"type": "overloaded_error", "message": "Overloaded"}),
        content={
            "text": (
                START,
                TEXT_BLOCK,
                event("content_block_delta", index=0, delta={"type": "text_delta", "text": "H"}),
            ),
            "thinking": (
                START,
                THINKING_BLOCK,
                event(
                    "content_block_delta",
                    index=0,
                    delta={"type": "thinking_delta", "thinking": "Hm"},
                ),
            ),
        },
        good=(
            START,
            TEXT_BLOCK,
            event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hello"}),
            event("content_block_stop", index=0),
            event(
                "message_delta",
                delta={"stop_reason": "end_turn", "stop_sequence": None},
                usage={"output_tokens": 2},
            ),
            event("message_stop"),
        ),
    ),
    "ollama": Api(
        "ollama",
        "/api/chat",
        {"model": "up/m", "messages": MESSAGES},
        silences={
            "nothing": (),
            "an empty line of text": (line(""),),
            "two": (line(""), line("", thinking="")),
        },
        error=b'{"error":"model runner has unexpectedly stopped"}\n',
        content={
            "text": (line("H"),),
            "thinking": (line("", message={"role": "assistant", "content": "", "thinking": "Hm"}),),
        },
        good=(line("Hello"), line("", done=True, done_reason="stop")),
    ),
    "responses": Api(
        "openai",
        "/v1/responses",
        {"model": "up/m", "input": "hi", "stream": True, "store": False},
        silences={
            "nothing": (),
            "created": (CREATED,),
            "an item": (CREATED, ADDED),
            "a part": (CREATED, ADDED, PART_ADDED),
        },
        error=event(
            "response.failed",
            sequence_number=3,
            response={
                **RESPONSE,
                "status": "failed",
                "error": {"code": "server_error", "message": "It broke"},
            },
        ),
        content={
            "text": (
                CREATED,
                ADDED,
                PART_ADDED,
                event(
                    "response.output_text.delta",
                    sequence_number=3,
                    output_index=0,
                    content_index=0,
                    item_id="msg_1",
                    delta="H",
                ),
            )
        },
        good=(
            CREATED,
            ADDED,
            PART_ADDED,
            event(
                "response.output_text.delta",
                sequence_number=3,
                output_index=0,
                content_index=0,
                item_id="msg_1",
                delta="Hello",
            ),
            event(
                "response.completed",
                sequence_number=4,
                response={
                    **RESPONSE,
                    "status": "completed",
                    "output": [{**ITEM, "status": "completed", "content": DONE_TEXT}],
                    "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
                },
            ),
        ),
    ),
}


def silent_cases() -> Iterator[object]:
    for api, each in APIS.items():
        for silence in each.silences:
            yield pytest.param(api, silence, id=f"{api}: {silence}")


@pytest.mark.parametrize("breaks", ["ends", "is cut", "says an error"])
@pytest.mark.parametrize(("name", "silence"), list(silent_cases()))
async def test_a_stream_that_fails_before_any_content_is_asked_for_again(
    name: str, silence: str, breaks: str, autojump_clock: MockClock
) -> None:
    api = APIS[name]
    pieces = api.silences[silence]
    if breaks == "says an error":
        pieces = (*pieces, api.error)
    server = api.server(*[api.stream(*pieces, is_cut=breaks == "is cut")] * 2)
    async with open_world(api.config, hosts={"other.test": server.serve}) as world:
        answer = await world.client.post(f"{GATEWAY}{api.path}", json=api.body)
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-forebay-attempts"] == "3"
        assert answer.content == b"".join(api.good)
        assert await world.is_at_rest()


def speaking_cases() -> Iterator[object]:
    for api, each in APIS.items():
        for content in each.content:
            yield pytest.param(api, content, id=f"{api}: {content}")


@pytest.mark.parametrize(("name", "content"), list(speaking_cases()))
async def test_whatever_a_client_could_have_seen_is_not_asked_for_again(
    name: str, content: str, autojump_clock: MockClock
) -> None:
    """Thoughts count as content, too: a client shows them."""
    api = APIS[name]
    server = api.server(api.stream(*api.content[content], api.error))
    async with open_world(api.config, hosts={"other.test": server.serve}) as world:
        received = bytearray()
        async with world.client.stream("POST", f"{GATEWAY}{api.path}", json=api.body) as answer:
            assert answer.headers["x-forebay-attempts"] == "1"
            with suppress(httpx.RemoteProtocolError):
                async for piece in answer.aiter_raw():
                    received += piece
                raise AssertionError("it came to its proper end")
        assert bytes(received) == b"".join((*api.content[content], api.error))
        assert len(server.to(api.path)) == 1


@pytest.mark.parametrize("name", APIS)
async def test_how_much_is_read_ahead_is_bounded(name: str, autojump_clock: MockClock) -> None:
    api = APIS[name]
    nothing = {"ollama": line(""), "messages": event("ping")}.get(name, b": nothing\n\n")
    many = nothing * (100_000 // len(nothing))
    server = api.server(*[Imitated((many,) * 12, content_type=api.content_type)] * 3)
    async with open_world(api.config, hosts={"other.test": server.serve}) as world:
        answer = await world.client.post(f"{GATEWAY}{api.path}", json=api.body)
        assert answer.status_code == 502
        assert "says nothing" in answer.text
        assert len(server.to(api.path)) == 3
        assert await world.is_at_rest()
