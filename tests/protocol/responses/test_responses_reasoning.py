"""Reasoning on its way through a client of the Responses API and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.protocol.canonical.assembly import assemble
from forebay.protocol.canonical.events import ChatResponse
from forebay.protocol.canonical.requests import ChatRequest, Thinking
from forebay.protocol.dialects.anthropic import ANTHROPIC, AnthropicMessagesCodec
from forebay.protocol.dialects.base import ReplyContext, UpstreamTraits
from forebay.protocol.dialects.openai import OpenAIChatCodec, OpenAIResponsesCodec
from forebay.protocol.dialects.openai.responses._reasoning_token import (
    decode_token,
    encode_token,
    is_own_token,
)
from forebay.protocol.jsontext import JsonObject, JsonValue, dumps, loads_object

_CODEC = OpenAIResponsesCodec()
_ANTHROPIC = AnthropicMessagesCodec()
_ASKED: JsonObject = {"include": ["reasoning.encrypted_content"], "store": False}


class MakesContext(Protocol):
    def __call__(self, *, asked: JsonObject | None = ..., estimate: int = ...) -> ReplyContext: ...


_BLOCKS: list[JsonValue] = [
    {"type": "thinking", "thinking": "hm é\u2028", "signature": "c2ln"},
    {"type": "redacted_thinking", "data": "b3BhcXVl"},
    {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"x": 1}},
]
_MESSAGE: JsonObject = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": _BLOCKS,
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 2},
}


def _streamed() -> bytes:
    """The same answer as a stream of Anthropic's."""
    frames: list[JsonObject] = [{"type": "message_start", "message": {**_MESSAGE, "content": []}}]
    deltas: list[list[JsonObject]] = [
        [
            {"type": "thinking_delta", "thinking": "hm é"},
            {"type": "thinking_delta", "thinking": "\u2028"},
            {"type": "signature_delta", "signature": "c2ln"},
        ],
        [],
        [{"type": "input_json_delta", "partial_json": '{"x":1}'}],
    ]
    starts: list[JsonValue] = [
        {"type": "thinking", "thinking": "", "signature": ""},
        _BLOCKS[1],
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
    ]
    for at, (start, fed) in enumerate(zip(starts, deltas, strict=True)):
        frames.append({"type": "content_block_start", "index": at, "content_block": start})
        frames += ({"type": "content_block_delta", "index": at, "delta": delta} for delta in fed)
        frames.append({"type": "content_block_stop", "index": at})
    frames.append({"type": "message_delta", "delta": {"stop_reason": "tool_use"}})
    frames.append({"type": "message_stop"})
    return b"".join(b"data: " + dumps(frame) + b"\n\n" for frame in frames)


def _shown_whole(context: ReplyContext) -> list[JsonValue]:
    response = _CODEC.encode_response(_ANTHROPIC.decode_response(_MESSAGE), context)
    output = response["output"]
    assert isinstance(output, list)
    return output


def _shown_in_a_stream(context: ReplyContext) -> list[JsonValue]:
    decoder = _ANTHROPIC.stream_decoder()
    encoder = _CODEC.stream_encoder(context)
    stream = b"".join(map(encoder.encode, decoder.feed(_streamed()) + decoder.close()))
    body = loads_object(stream.rstrip().rsplit(b"\ndata: ", 1)[1])["response"]
    assert isinstance(body, dict)
    output = body["output"]
    assert isinstance(output, list)
    return output


def _next_turn(output: list[JsonValue]) -> ChatRequest:
    return _CODEC.decode_request(
        {
            "model": "m",
            "input": [
                {"role": "user", "content": "Hi"},
                *output,
                {"type": "function_call_output", "call_id": "toolu_1", "output": "1"},
            ],
            "tools": [{"type": "function", "name": "f"}],
        }
    )


@pytest.mark.parametrize("show", [_shown_whole, _shown_in_a_stream], ids=["whole", "stream"])
def test_signed_blocks_come_back_to_anthropic_as_they_were_traps_52_54_58(
    reply_to: MakesContext, show: Callable[[ReplyContext], list[JsonValue]]
) -> None:
    output = show(reply_to(asked=_ASKED))
    assert [item["type"] for item in output if isinstance(item, dict)] == [
        "reasoning",
        "reasoning",
        "function_call",
    ]
    body = _ANTHROPIC.encode_request(_next_turn(output), UpstreamTraits()).body
    messages = body["messages"]
    assert isinstance(messages, list)
    assert messages[1] == {"role": "assistant", "content": _BLOCKS}


def test_the_gateways_own_token_is_never_sent_to_openai_trap_58(reply_to: MakesContext) -> None:
    asked = _next_turn(_shown_whole(reply_to(asked=_ASKED)))
    assert not _CODEC.can_relay(asked)
    body = _CODEC.encode_request(asked, UpstreamTraits()).body
    items = body["input"]
    assert isinstance(items, list)
    assert [item.get("type") for item in items if isinstance(item, dict)] == [
        None,
        "function_call",
        "function_call_output",
    ]
    assert b"forebay" not in dumps(body)


def test_reasoning_that_a_gateway_showed_without_a_token_is_not_sent_either(
    reply_to: MakesContext,
) -> None:
    """OpenAI would look for an item that it does not have."""
    asked = _next_turn(_shown_whole(reply_to(asked={})))
    assert not _CODEC.can_relay(asked)
    items = _CODEC.encode_request(asked, UpstreamTraits()).body["input"]
    assert b"reasoning" not in dumps(items)


def test_thinking_of_another_provider_is_not_forwarded_to_anthropic_trap_53(
    reply_to: MakesContext,
) -> None:
    chat = OpenAIChatCodec().decode_response(
        {
            "choices": [
                {
                    "message": {
                        "reasoning_content": "hm",
                        "content": None,
                        "tool_calls": [
                            {"id": "toolu_1", "function": {"name": "f", "arguments": "{}"}}
                        ],
                    }
                }
            ]
        }
    )
    response = _CODEC.encode_response(chat, reply_to(asked=_ASKED))
    output = response["output"]
    assert isinstance(output, list)
    first = output[0]
    assert isinstance(first, dict)
    assert is_own_token(str(first["encrypted_content"]))
    body = _ANTHROPIC.encode_request(_next_turn(output), UpstreamTraits()).body
    assert b'"thinking"' not in dumps(body["messages"])


def test_openais_own_secret_goes_back_to_openai_and_nowhere_else() -> None:
    item: JsonObject = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [],
        "encrypted_content": "gAAAAABo",
    }
    call: JsonObject = {
        "type": "function_call",
        "call_id": "toolu_1",
        "name": "f",
        "arguments": "{}",
    }
    asked = _next_turn([item, call])
    assert _CODEC.can_relay(asked)
    items = _CODEC.encode_request(asked, UpstreamTraits()).body["input"]
    assert isinstance(items, list)
    assert items[1] == item
    for other in (_ANTHROPIC, OpenAIChatCodec()):
        assert b"gAAAAABo" not in dumps(other.encode_request(asked, UpstreamTraits()).body)


def test_an_anthropic_stream_says_whose_signature_it_carries() -> None:
    decoder = _ANTHROPIC.stream_decoder()
    answer: ChatResponse = assemble(decoder.feed(_streamed()) + decoder.close())
    thinking = [part for part in answer.parts if isinstance(part, Thinking)]
    assert [ANTHROPIC in part.extras for part in thinking] == [True, True]


_strings = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=9)


@given(
    st.builds(
        lambda text, signature, redacted, native: Thinking(
            text=text,
            signature=signature,
            redacted=redacted,
            extras={ANTHROPIC: native} if native is not None else {},
        ),
        _strings,
        st.none() | _strings,
        st.none() | _strings,
        st.none() | st.just(JsonObject()) | st.just(JsonObject({"a": [1]})),
    )
)
def test_a_token_carries_thinking_to_the_byte(thinking: Thinking) -> None:
    token = encode_token(thinking)
    assert is_own_token(token)
    assert token.isascii()
    again = decode_token(token)
    assert again == thinking
    assert again is not None
    assert again.extras == thinking.extras


@pytest.mark.parametrize(
    "token",
    [
        "gAAAAAB",
        "forebay.thinking.2.e30=",
        "forebay.thinking.1.",
        "forebay.thinking.1.!!!",
        "forebay.thinking.1.é",
        "forebay.thinking.1.e30=",
        "forebay.thinking.1.WzFd",
        "forebay.thinking.1.eyJ0ZXh0Ijo1fQ==",
        "forebay.thinking.1.eyJ0ZXh0IjoiYSIsInNpZ25hdHVyZSI6NX0=",
    ],
)
def test_a_damaged_token_carries_nothing(token: str) -> None:
    assert decode_token(token) is None


def test_an_item_with_a_damaged_token_is_left_out_upstream() -> None:
    item: JsonObject = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "hm"}],
        "encrypted_content": "forebay.thinking.1.!!!",
    }
    asked = _CODEC.decode_request(
        {"model": "m", "input": [{"role": "user", "content": "Hi"}, item]}
    )
    assert not _CODEC.can_relay(asked)
    [thinking] = asked.turns[1].parts
    assert isinstance(thinking, Thinking)
    assert (thinking.text, thinking.signature, thinking.redacted) == ("hm", None, None)
    assert ANTHROPIC not in thinking.extras
