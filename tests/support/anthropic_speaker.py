"""Asks in Anthropic's dialect, with the official ``anthropic`` client."""

from __future__ import annotations

import base64
import json
from typing import Any, ClassVar, cast

import anthropic
import httpx2
from anthropic.types import Message, ModelInfo, ParsedMessage, RawMessageStreamEvent
from sdk_questions import City, End, Question, Said, Speaker, ToolCall
from sdk_wire import Exchange, Wire, read_strictly

from forebay.protocol.jsontext import JsonObject

_ENDS = {
    "end_turn": End.DONE,
    "stop_sequence": End.STOP_SEQUENCE,
    "max_tokens": End.LENGTH,
    "tool_use": End.TOOLS,
    "refusal": End.REFUSED,
}
_DEFAULT_MAX_TOKENS = 2048


class AnthropicSpeaker(Speaker):
    """Over ``messages``."""

    dialect = "anthropic"
    failures: ClassVar[tuple[type[Exception], ...]] = (anthropic.APIError, httpx2.HTTPError)

    def __init__(self, url: str, *, key: str = "any-key", max_retries: int = 0) -> None:
        super().__init__(Wire())
        self.client = anthropic.Anthropic(
            base_url=url,
            api_key=key,
            max_retries=max_retries,
            http_client=anthropic.DefaultHttpxClient(
                trust_env=False, verify=False, event_hooks=self.wire.hooks
            ),
        )

    def close(self) -> None:
        self.client.close()

    def models(self) -> list[str]:
        names = [model.id for model in self.client.models.list()]
        listed = json.loads(self.wire.last.body)
        read_strictly(list[ModelInfo], json.dumps(listed["data"]))
        assert (listed["first_id"], listed["last_id"]) == (names[0], names[-1])
        assert listed["has_more"] is False
        assert names == [model.id for model in self.client.models.list(limit=2)], "in pages"
        return names

    def ask(self, question: Question, *, stream: bool) -> Said:
        arguments = _arguments(question)
        messages = self.client.messages
        message: Message | ParsedMessage[City]
        if stream:
            with messages.stream(**arguments) as answer:
                message = answer.get_final_message()
            fragments = _read_events(self.wire.last)
        else:
            message = (messages.parse if question.wants_city else messages.create)(**arguments)
            assert self.wire.last.headers["content-type"].startswith("application/json")
            read_strictly(Message, self.wire.last.body)
            fragments = 0
        return _said(message, fragments, self.wire.last)


def _arguments(question: Question) -> dict[str, Any]:
    content: object = question.text
    if question.image is not None:
        data = base64.b64encode(question.image).decode()
        source = {"type": "base64", "media_type": "image/png", "data": data}
        content = [{"type": "image", "source": source}, {"type": "text", "text": question.text}]
    messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
    for said, results in question.history:
        messages.append({"role": "assistant", "content": said.turn})
        messages.append(
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": call.id, "content": result}
                    for call, result in zip(said.calls, results, strict=True)
                ],
            }
        )
    arguments: dict[str, Any] = {
        "model": question.model,
        "messages": messages,
        "max_tokens": question.max_tokens or _DEFAULT_MAX_TOKENS,
    }
    if question.system is not None:
        arguments["system"] = question.system
    if question.tools:
        arguments["tools"] = [
            {"name": tool.name, "input_schema": tool.schema} for tool in question.tools
        ]
    if question.must_call:
        arguments["tool_choice"] = {"type": "any"}
    if question.wants_city:
        arguments["output_format"] = City
    if question.thinks:
        arguments["thinking"] = {"type": "adaptive"}
        arguments["output_config"] = {"effort": "medium"}
    if question.stop:
        arguments["stop_sequences"] = list(question.stop)
    if question.headers:
        arguments["extra_headers"] = question.headers
    return arguments


def _said(message: Message | ParsedMessage[City], fragments: int, heard: Exchange) -> Said:
    texts, thinking, calls = "", "", []
    parsed: City | None = None
    for block in message.content:
        match block.type:
            case "text":
                texts += block.text
                parsed = getattr(block, "parsed_output", None) or parsed
            case "thinking":
                thinking += block.thinking
            case "tool_use":
                arguments = cast("JsonObject", block.input)
                calls.append(ToolCall(block.id, block.name, arguments))
            case other:
                raise AssertionError(f"nobody asked for a block of type {other}")
    assert message.stop_reason is not None
    return Said(
        text=texts,
        thinking=thinking,
        calls=tuple(calls),
        end=_ENDS[message.stop_reason],
        stop_sequence=message.stop_sequence,
        input_tokens=message.usage.input_tokens,
        output_tokens=message.usage.output_tokens,
        id=message.id,
        model=message.model,
        parsed=parsed,
        fragments=fragments,
        turn=list(message.content),
        heard=heard,
    )


def _read_events(heard: Exchange) -> int:
    """Hold a stream to the rules of message events; how many of them brought content.

    Every frame has an event that is its type; indexes have no gaps and one block is open at a
    time; the message starts once, first, and stops once, last.
    """
    assert heard.headers["content-type"].startswith("text/event-stream")
    fragments = 0
    kinds: list[str] = []
    open_block: int | None = None
    blocks = 0
    for event, data in heard.frames:
        value = json.loads(data)
        kind = value["type"]
        assert event == kind
        if kind == "ping":
            assert value == {"type": "ping"}
            continue
        read_strictly(RawMessageStreamEvent, data)
        kinds.append(kind)
        if kind == "content_block_start":
            assert open_block is None
            assert value["index"] == blocks
            open_block = blocks
            blocks += 1
        elif kind == "content_block_delta":
            assert value["index"] == open_block
            delta = value["delta"]
            brought = ("text", "thinking", "partial_json")
            fragments += any(delta.get(name) for name in brought)
        elif kind == "content_block_stop":
            assert value["index"] == open_block
            open_block = None
    assert open_block is None
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert [kinds.count(kind) for kind in (kinds[0], *kinds[-2:])] == [1, 1, 1]
    return fragments
