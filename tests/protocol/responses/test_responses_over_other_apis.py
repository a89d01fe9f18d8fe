"""Clients of the Responses API in front of upstreams that have never heard of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import pytest
from openai.types.responses import Response

from forebay.protocol.canonical.assembly import assemble
from forebay.protocol.canonical.events import ChatResponse
from forebay.protocol.canonical.requests import Text, Thinking, ToolCall
from forebay.protocol.dialects.anthropic import AnthropicMessagesCodec
from forebay.protocol.dialects.base import ChatCodec, ReplyContext
from forebay.protocol.dialects.ollama import OllamaChatCodec
from forebay.protocol.dialects.openai import OpenAIChatCodec, OpenAIResponsesCodec
from forebay.protocol.jsontext import JsonObject, dumps, loads_object

_CHAT = OpenAIChatCodec()
_ANTHROPIC = AnthropicMessagesCodec()
_OLLAMA = OllamaChatCodec()


class MakesContext(Protocol):
    def __call__(self, *, asked: JsonObject | None = ..., estimate: int = ...) -> ReplyContext: ...


class Answer(Protocol):
    @property
    def body(self) -> bytes: ...


Captured = Callable[[str], Answer]
Shown = Callable[[bytes], list[JsonObject]]
ShownWhole = Callable[[JsonObject], Response]

_STREAMS: list[tuple[ChatCodec, str]] = [
    (_CHAT, "llamacpp-0.7.0-b11669/chat-stream-usage"),
    (_CHAT, "llamacpp-tools-template/toolcall-stream"),
    (_CHAT, "llamacpp-tools-template/toolcall-parallel-prefill-stream"),
    (_CHAT, "vllm-0.32.0-cpu/chat-tools-required-stream"),
    (_CHAT, "vllm-0.32.0-cpu/toolcall-stream"),
    (_CHAT, "transformers-serve-5.23/chat-stream"),
    (_CHAT, "ovms-standin-openvino-genai-2026.4/chat-stream-usage"),
    (_ANTHROPIC, "llamacpp-0.7.0-b11669/messages-stream"),
    (_ANTHROPIC, "llamacpp-tools-template/messages-toolcall-stream"),
    (_ANTHROPIC, "vllm-0.32.0-cpu/messages-tools-stream"),
]
_WHOLE: list[tuple[ChatCodec, str]] = [
    (_CHAT, "llamacpp-0.7.0-b11669/chat"),
    (_CHAT, "llamacpp-tools-template/toolcall-parallel-prefill"),
    (_CHAT, "vllm-0.32.0-cpu/toolcall"),
    (_CHAT, "ovms-standin-openvino-genai-2026.4/chat"),
    (_ANTHROPIC, "llamacpp-tools-template/messages-toolcall"),
    (_ANTHROPIC, "vllm-0.32.0-cpu/messages"),
]


def _said(answer: ChatResponse) -> list[object]:
    said: list[object] = []
    for part in answer.parts:
        if isinstance(part, Text | Thinking) and part.text:
            said.append(part.text)
        elif isinstance(part, ToolCall):
            said.append((part.name, part.arguments.strip() or "{}"))
    return said


@pytest.mark.parametrize(("upstream", "name"), _STREAMS, ids=[name for _, name in _STREAMS])
def test_streams_of_other_apis_are_real_responses_streams(
    codec: OpenAIResponsesCodec,
    captured: Captured,
    reply_to: MakesContext,
    shown: Shown,
    upstream: ChatCodec,
    name: str,
) -> None:
    """Names, sequence numbers, and one id from created to completed."""
    decoder = upstream.stream_decoder()
    events = decoder.feed(captured(name).body) + decoder.close()
    encoder = codec.stream_encoder(reply_to(asked={"stream": True}))
    stream = b"".join(map(encoder.encode, events))
    last = shown(stream)[-1]
    assert last["type"] in ("response.completed", "response.incomplete")
    again = codec.stream_decoder()
    assert _said(assemble(again.feed(stream) + again.close())) == _said(assemble(events))


@pytest.mark.parametrize(("upstream", "name"), _WHOLE, ids=[name for _, name in _WHOLE])
def test_whole_answers_of_other_apis_are_real_response_objects(
    codec: OpenAIResponsesCodec,
    captured: Captured,
    reply_to: MakesContext,
    shown_whole: ShownWhole,
    upstream: ChatCodec,
    name: str,
) -> None:
    answer = upstream.decode_response(loads_object(captured(name).body))
    response = codec.encode_response(answer, reply_to(asked={}))
    assert shown_whole(response).status == "completed"
    assert _said(codec.decode_response(response)) == _said(answer)


def test_a_call_and_thinking_in_a_stream_of_ollama_arrive(
    codec: OpenAIResponsesCodec, reply_to: MakesContext, shown: Shown
) -> None:
    lines: list[JsonObject] = [
        {"message": {"role": "assistant", "content": "", "thinking": "hm"}, "done": False},
        {
            "message": {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}}],
            },
            "done": False,
        },
        {
            "message": {"role": "assistant", "content": ""},
            "done": True,
            "done_reason": "stop",
            "prompt_eval_count": 3,
            "eval_count": 4,
        },
    ]
    head: JsonObject = {"model": "m", "created_at": "2026-11-22T10:00:00Z"}
    decoder = _OLLAMA.stream_decoder()
    events = decoder.feed(b"".join(dumps({**head, **line}) + b"\n" for line in lines))
    encoder = codec.stream_encoder(reply_to(asked={"stream": True}))
    seen = shown(b"".join(map(encoder.encode, [*events, *decoder.close()])))
    response = seen[-1]["response"]
    assert isinstance(response, dict)
    output = response["output"]
    assert isinstance(output, list)
    reasoning, call = output
    assert isinstance(reasoning, dict)
    assert isinstance(call, dict)
    assert reasoning["summary"] == [{"type": "summary_text", "text": "hm"}]
    assert (call["name"], call["arguments"]) == ("f", '{"x":1}')
    assert call["call_id"]
    usage = response["usage"]
    assert isinstance(usage, dict)
    assert (usage["input_tokens"], usage["output_tokens"]) == (3, 4)


def test_a_stream_of_this_api_is_read_for_clients_of_others(
    codec: OpenAIResponsesCodec, captured: Captured, reply_to: MakesContext
) -> None:
    decoder = codec.stream_decoder()
    body = captured("llamacpp-tools-template/responses-toolcall-stream").body
    events = decoder.feed(body) + decoder.close()
    for other in (_CHAT, _ANTHROPIC, _OLLAMA):
        encoder = other.stream_encoder(reply_to())
        stream = b"".join(map(encoder.encode, events))
        again = other.stream_decoder()
        answer = assemble(again.feed(stream) + again.close())
        [call] = answer.parts
        assert isinstance(call, ToolCall)
        assert call.name == "get_weather"
        assert loads_object(call.arguments) == {"city": "Paris"}
