"""Streams of the same API that are passed on, with keep-alives where the gateway had to speak."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import pytest

from forebay.protocol.canonical.errors import ApiError, ErrorKind
from forebay.protocol.canonical.events import StreamError
from forebay.protocol.dialects.anthropic import AnthropicMessagesCodec
from forebay.protocol.dialects.base import ReplyContext
from forebay.protocol.dialects.openai import OpenAIResponsesCodec
from forebay.protocol.dialects.openai.responses import ResponsesStreamEncoder
from forebay.protocol.framing import SseFramer
from forebay.protocol.jsontext import JsonObject, dumps, loads_object


class MakesContext(Protocol):
    def __call__(self, *, asked: JsonObject | None = ..., estimate: int = ...) -> ReplyContext: ...


class Answer(Protocol):
    @property
    def body(self) -> bytes: ...


Captured = Callable[[str], Answer]
_STREAMS = [
    "vllm-0.32.0-cpu/responses-stream",
    "llamacpp-tools-template/responses-toolcall-stream",
    "transformers-serve-5.23/responses-stream",
]


@pytest.fixture
def encoder(reply_to: MakesContext) -> ResponsesStreamEncoder:
    made = OpenAIResponsesCodec().stream_encoder(reply_to(asked={"stream": True}))
    assert isinstance(made, ResponsesStreamEncoder)
    return made


def _events(stream: bytes) -> list[JsonObject]:
    framer = SseFramer()
    return [loads_object(frame.data) for frame in (*framer.feed(stream), *framer.close())]


def _ids(events: list[JsonObject]) -> set[object]:
    return {
        response["id"] for event in events if isinstance(response := event.get("response"), dict)
    }


def _frame(event: JsonObject) -> bytes:
    return f"event: {event['type']}\n".encode() + b"data: " + dumps(event) + b"\n\n"


@pytest.mark.parametrize("name", _STREAMS)
def test_bytes_pass_unaltered_while_the_gateway_is_silent(
    captured: Captured, encoder: ResponsesStreamEncoder, name: str
) -> None:
    body = captured(name).body
    passed = b"".join(encoder.relay(body[at : at + 7]) for at in range(0, len(body), 7))
    assert passed == body
    assert encoder.response_id == encoder.upstream_id != ""


@pytest.mark.parametrize("name", _STREAMS)
def test_after_a_keepalive_the_answer_goes_on_under_its_id_traps_83_84(
    captured: Captured, encoder: ResponsesStreamEncoder, name: str
) -> None:
    body = captured(name).body
    stream = encoder.keepalive() + encoder.keepalive()
    stream += b"".join(encoder.relay(body[at : at + 7]) for at in range(0, len(body), 7))
    events = _events(stream)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] for event in events].count("response.created") == 1
    assert events[0]["type"] == "response.created"
    assert _ids(events) == {"resp_0123abcd"} == {encoder.response_id}
    assert encoder.upstream_id in str(body)
    upstreams = [event["type"] for event in _events(body)]
    assert [event["type"] for event in events[2:]] == upstreams[1:]


def test_a_keepalive_inside_the_answer_shifts_the_numbers_after_it(
    captured: Captured, encoder: ResponsesStreamEncoder
) -> None:
    body = captured("vllm-0.32.0-cpu/responses-stream").body
    half = body.index(b"event: response.output_text.delta")
    stream = encoder.relay(body[:half]) + encoder.keepalive() + encoder.relay(body[half:])
    assert stream[:half] == body[:half]
    events = _events(stream)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert _ids(events) == {"resp_bc4c2c867e38a090"}
    assert [event["type"] for event in events].count("response.in_progress") == 2


def test_before_the_upstreams_first_event_and_after_its_last_only_comments_are_safe(
    captured: Captured, encoder: ResponsesStreamEncoder
) -> None:
    encoder.relay(b": ping\n\n")
    assert encoder.keepalive().startswith(b":")
    encoder.relay(captured("vllm-0.32.0-cpu/responses-stream").body)
    assert encoder.keepalive().startswith(b":")
    encoder.relay(b"data: [DONE]\n\n")
    assert encoder.keepalive().startswith(b":")


def test_an_error_noticed_here_ends_the_answer_that_the_client_knows_trap_89(
    captured: Captured, encoder: ResponsesStreamEncoder
) -> None:
    body = captured("vllm-0.32.0-cpu/responses-stream").body
    half = body.index(b"event: response.output_text.delta")
    stream = encoder.relay(body[:half])
    stream += encoder.encode(StreamError(ApiError(kind=ErrorKind.UPSTREAM_ERROR, message="cut")))
    events = _events(stream)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[-1]["type"] == "response.failed"
    assert _ids(events) == {"resp_bc4c2c867e38a090"}


def test_what_is_no_event_passes_in_either_way(encoder: ResponsesStreamEncoder) -> None:
    encoder.keepalive()
    assert encoder.relay(b"data: [DONE]\n\n") == b"data: [DONE]\n\n"
    assert encoder.relay(b"data: 5\n\n") == b"data: 5\n\n"
    assert encoder.relay(b'{"error":"bare"}\n') == b'data: {"error":"bare"}\n\n'
    assert encoder.relay(_frame({"type": "keepalive", "sequence_number": 9})) == _frame(
        {"type": "keepalive", "sequence_number": 1}
    )


def test_an_event_beyond_all_bounds_ends_what_is_passed_on(
    encoder: ResponsesStreamEncoder,
) -> None:
    encoder.keepalive()
    huge = b"data: " + b"x" * (64 * 1024 * 1024)
    assert encoder.relay(huge) == b""
    assert encoder.relay(huge) == b""


def test_encoders_of_other_apis_pass_on_everything(reply_to: MakesContext) -> None:
    other = AnthropicMessagesCodec().stream_encoder(reply_to())
    assert other.relay(b"any") == b"any"
