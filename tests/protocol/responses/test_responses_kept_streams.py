"""What whoever keeps answers can ask an encoder, and what a kept conversation asks a provider."""

from __future__ import annotations

from typing import Protocol

import pytest

from forebay.protocol.canonical.assembly import events_of
from forebay.protocol.canonical.errors import ApiError, ErrorKind
from forebay.protocol.canonical.events import ChatResponse, FinishReason, StreamError
from forebay.protocol.canonical.requests import Text, Thinking
from forebay.protocol.dialects.base import ReplyContext, UpstreamTraits
from forebay.protocol.dialects.openai import OpenAIResponsesCodec
from forebay.protocol.dialects.openai.responses import ResponsesStreamEncoder
from forebay.protocol.dialects.openai.responses.conversations import (
    KeptResponse,
    continued_body,
    continued_input,
    kept_here,
    shown_items,
)
from forebay.protocol.jsontext import JsonObject, dumps, loads_object

_CODEC = OpenAIResponsesCodec()
_ANSWER = ChatResponse(id="", model="m", created=1, parts=(Text("a"),), finish=FinishReason.LENGTH)
_BROKEN = StreamError(ApiError(kind=ErrorKind.UPSTREAM_ERROR, message="broke"))


class MakesContext(Protocol):
    def __call__(self, *, asked: JsonObject | None = ..., estimate: int = ...) -> ReplyContext: ...


@pytest.fixture
def encoder(reply_to: MakesContext) -> ResponsesStreamEncoder:
    return ResponsesStreamEncoder(reply_to(asked={"stream": True}))


def _final(encoder: ResponsesStreamEncoder) -> JsonObject | None:
    return encoder.final_response


def _last_response(stream: bytes) -> object:
    data = stream.split(b"\n\n")[-2].split(b"data: ", 1)[1]
    return loads_object(data)["response"]


def _upstreams(*kinds: str) -> bytes:
    events: list[JsonObject] = [
        {
            "type": kind,
            "sequence_number": at,
            "response": {"id": "resp_up", "status": kind.removeprefix("response."), "output": []},
        }
        for at, kind in enumerate(kinds)
    ]
    return b"".join(
        f"event: {event['type']}\ndata: ".encode() + dumps(event) + b"\n\n" for event in events
    )


def test_the_answer_is_there_when_its_last_event_is(encoder: ResponsesStreamEncoder) -> None:
    *events, last = events_of(_ANSWER)
    for event in events:
        encoder.encode(event)
    assert _final(encoder) is None
    said = encoder.encode(last)
    final = _final(encoder)
    assert final is not None
    assert final == _last_response(said)
    assert final["status"] == "incomplete"
    assert not encoder.relays


def test_a_failed_answer_is_none(encoder: ResponsesStreamEncoder) -> None:
    for event in (*list(events_of(_ANSWER))[:-1], _BROKEN):
        encoder.encode(event)
    assert _final(encoder) is None


@pytest.mark.parametrize("kind", ["completed", "incomplete"])
@pytest.mark.parametrize("held", [False, True])
def test_a_relayed_answer_has_the_id_that_the_client_knows_trap_84(
    encoder: ResponsesStreamEncoder, kind: str, held: bool
) -> None:
    if held:
        encoder.keepalive()
    encoder.relay(_upstreams("response.created"))
    assert _final(encoder) is None
    encoder.relay(_upstreams(f"response.{kind}") + b"data: [DONE]\n\n")
    final = _final(encoder)
    assert final is not None
    assert encoder.relays
    assert final["status"] == kind
    assert final["id"] == encoder.response_id == ("resp_0123abcd" if held else "resp_up")
    assert encoder.upstream_id == "resp_up"


def test_a_relayed_answer_that_failed_is_none(encoder: ResponsesStreamEncoder) -> None:
    encoder.relay(_upstreams("response.created", "response.failed"))
    assert _final(encoder) is None


# What goes on at a provider of this API


def _sent(reasoning: JsonObject, *include: str) -> JsonObject:
    body: JsonObject = {"model": "m", "input": "go on", "previous_response_id": "resp_1"}
    if include:
        body["include"] = [*include]
    message: JsonObject = {"type": "message", "id": "msg_1", "role": "assistant", "content": "a"}
    earlier = KeptResponse("resp_1", (), (reasoning, message))
    whole = continued_body(body, continued_input(body, earlier, "bb"))
    request = kept_here(_CODEC.decode_request(whole), _CODEC.decode_request(body))
    return _CODEC.encode_request(request, UpstreamTraits()).body


_OWN: JsonObject = {"type": "reasoning", "id": "rs_1", "summary": []}
_ELSEWHERE: JsonObject = {"type": "reasoning", "id": "rs_fbaa_0", "summary": []}


def test_a_provider_is_asked_to_encrypt_what_it_will_not_keep() -> None:
    secret = "reasoning.encrypted_content"
    assert _sent(_OWN)["include"] == [secret]
    assert _sent(_OWN, secret)["include"] == [secret]
    other = "message.output_text.logprobs"
    assert _sent(_OWN, other)["include"] == [other, secret]
    assert "include" not in _sent(_ELSEWHERE)


def test_secrets_are_shown_to_those_who_ask(reply_to: MakesContext) -> None:
    answer = ChatResponse(
        id="",
        model="m",
        created=1,
        parts=(Thinking(text="hm"), Thinking(text="", signature="s"), Text("a")),
        finish=FinishReason.END,
    )
    context = reply_to(asked={"include": ["reasoning.encrypted_content"]})
    output = _CODEC.encode_response(answer, context)["output"]
    assert isinstance(output, list)
    items = [item for item in output if isinstance(item, dict)]
    assert len(items) == 3
    assert shown_items(items, ["reasoning.encrypted_content"]) == items
    summary, message = shown_items(items, ())
    assert "encrypted_content" not in summary
    assert message == items[2]
