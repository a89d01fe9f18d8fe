"""Answers of real servers, as they came over the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import pytest

from forebay.protocol.canonical.assembly import assemble
from forebay.protocol.canonical.errors import ErrorKind
from forebay.protocol.canonical.events import (
    ChatResponse,
    FinishReason,
    Start,
    StreamError,
    StreamEvent,
    TextDelta,
    Usage,
)
from forebay.protocol.canonical.listed_models import Capability, ListedModel
from forebay.protocol.canonical.requests import Text, ToolCall
from forebay.protocol.dialects.openai import OPENAI, OpenAIChatCodec, OpenAISpeech
from forebay.protocol.jsontext import loads_object

_LLAMACPP = "llamacpp-0.7.0-b11669"
_LLAMACPP_TOOLS = "llamacpp-tools-template"
_VLLM = "vllm-0.32.0-cpu"
_TRANSFORMERS = "transformers-serve-5.23"
_OPENVINO = "ovms-standin-openvino-genai-2026.4"
_SERVERS = (_LLAMACPP, _VLLM, _TRANSFORMERS, _OPENVINO)


class DecodesStream(Protocol):
    def __call__(self, stream: bytes, *, cuts: Iterable[int] = ...) -> list[StreamEvent]: ...


class Answer(Protocol):
    @property
    def status(self) -> int: ...
    @property
    def body(self) -> bytes: ...
    @property
    def complete(self) -> bool: ...


Captured = Callable[[str], Answer]


def _each(*names: str) -> list[str]:
    return [f"{server}/{name}" for server in _SERVERS for name in names]


def _whole(codec: OpenAIChatCodec, captured: Captured, name: str) -> ChatResponse:
    answer = captured(name)
    assert answer.status == 200
    return codec.decode_response(loads_object(answer.body))


def _text(answer: ChatResponse) -> str:
    [text] = answer.parts
    assert isinstance(text, Text)
    return text.text


# Whole answers


@pytest.mark.parametrize(
    ("name", "answer_id", "model", "usage"),
    [
        (
            f"{_LLAMACPP}/chat",
            "chatcmpl-oP4tLVjsqiz5y1N7ifBwJ4MgRwEc0VNt",
            "smollm2",
            Usage(input_uncached=36, output=20),
        ),
        (
            f"{_LLAMACPP}/chat-stop",
            "chatcmpl-kObXASK7rnM6x3ikP44k4XVSZQoYqRHa",
            "smollm2",
            Usage(input_uncached=1, cache_read=35, output=4),
        ),
        (
            f"{_VLLM}/chat",
            "chatcmpl-8f8b4b849969b7e4",
            "smollm2",
            Usage(input_uncached=15, output=11),
        ),
        (
            f"{_TRANSFORMERS}/chat",
            "f5819471-c772-43b8-8a0e-e29b146e47a1",
            "my-models/SmolLM2-135M-Instruct-bf16@main",
            Usage(input_uncached=36, output=20),
        ),
        (
            f"{_OPENVINO}/chat",
            "",
            "OpenVINO/SmolLM2-135M",
            Usage(input_uncached=36, output=21),
        ),
    ],
)
def test_a_whole_answer_is_read(
    codec: OpenAIChatCodec,
    captured: Captured,
    name: str,
    answer_id: str,
    model: str,
    usage: Usage,
) -> None:
    answer = _whole(codec, captured, name)
    assert (answer.id, answer.model, answer.usage) == (answer_id, model, usage)
    assert answer.created > 1_795_000_000
    assert answer.finish in (FinishReason.END, FinishReason.STOP_SEQUENCE)
    assert _text(answer)


@pytest.mark.parametrize("name", _each("chat-length"))
def test_an_answer_that_met_its_limit_says_so(
    codec: OpenAIChatCodec, captured: Captured, name: str
) -> None:
    assert _whole(codec, captured, name).finish is FinishReason.LENGTH


def test_vllm_names_the_stop_sequence(codec: OpenAIChatCodec, captured: Captured) -> None:
    answer = _whole(codec, captured, f"{_VLLM}/chat-stop")
    assert (answer.finish, answer.stop_sequence) == (FinishReason.STOP_SEQUENCE, "o")


def test_what_the_canonical_form_does_not_hold_stays_raw(
    codec: OpenAIChatCodec, captured: Captured
) -> None:
    extras = _whole(codec, captured, f"{_LLAMACPP}/chat-logprobs").extras[OPENAI]
    assert extras["system_fingerprint"] == "b11669-Debian"
    [choice] = extras["choices"] if isinstance(extras["choices"], list) else []
    assert isinstance(choice, dict)
    assert choice["logprobs"]


@pytest.mark.parametrize(
    "name",
    [f"{_LLAMACPP_TOOLS}/toolcall", f"{_VLLM}/toolcall"],
)
def test_a_tool_call_is_read(codec: OpenAIChatCodec, captured: Captured, name: str) -> None:
    answer = _whole(codec, captured, name)
    [call] = answer.parts
    assert isinstance(call, ToolCall)
    assert (call.name, loads_object(call.arguments)) == ("get_weather", {"city": "Paris"})
    assert call.id
    assert answer.finish is FinishReason.TOOL_CALLS


def test_parallel_calls_are_read_alike_whole_and_streamed(
    codec: OpenAIChatCodec, captured: Captured, decoded: DecodesStream
) -> None:
    name = f"{_LLAMACPP_TOOLS}/toolcall-parallel-prefill"
    whole = _whole(codec, captured, name)
    streamed = assemble(decoded(captured(f"{name}-stream").body))
    for answer in (whole, streamed):
        assert answer.finish is FinishReason.TOOL_CALLS
        assert all(isinstance(part, ToolCall) and part.id for part in answer.parts)
    assert _named(whole) == _named(streamed)
    assert len(_named(whole)) > 1


def _named(answer: ChatResponse) -> list[tuple[str, str]]:
    return [(part.name, part.arguments) for part in answer.parts if isinstance(part, ToolCall)]


# Streams

_STREAMS = [
    *_each(
        "chat-stream", "chat-stream-usage", "chat-tools-required-stream", "chat-logprobs-stream"
    ),
    f"{_LLAMACPP}/chat-stream-pings",
    f"{_LLAMACPP_TOOLS}/toolcall-stream",
    f"{_LLAMACPP_TOOLS}/toolcall-parallel-prefill-stream",
    f"{_VLLM}/toolcall-stream",
    f"{_TRANSFORMERS}/err-toolong-stream",
    f"{_OPENVINO}/err-toolong-stream",
]


@pytest.mark.parametrize("name", _STREAMS)
def test_a_stream_reads_the_same_however_it_is_cut_into_bytes_trap_78(
    captured: Captured, decoded: DecodesStream, name: str
) -> None:
    stream = captured(name).body
    whole = decoded(stream)
    assert not isinstance(whole[-1], StreamError)
    assert decoded(stream, cuts=range(len(stream))) == whole


@pytest.mark.parametrize("name", [*_each("chat-logprobs-stream"), f"{_LLAMACPP}/chat-stream-pings"])
def test_a_stream_reads_the_same_cut_in_two_anywhere_trap_78(
    captured: Captured, decoded: DecodesStream, name: str
) -> None:
    stream = captured(name).body
    whole = decoded(stream)
    for at in range(len(stream)):
        assert decoded(stream, cuts=[at]) == whole


@pytest.mark.parametrize("server", _SERVERS)
def test_a_stream_says_what_the_whole_answer_says(
    codec: OpenAIChatCodec, captured: Captured, decoded: DecodesStream, server: str
) -> None:
    whole = _whole(codec, captured, f"{server}/chat")
    streamed = assemble(decoded(captured(f"{server}/chat-stream-usage").body))
    assert (streamed.parts, streamed.finish, streamed.model) == (
        whole.parts,
        whole.finish,
        whole.model,
    )
    assert streamed.usage is not None
    assert whole.usage is not None
    assert (streamed.usage.input_total, streamed.usage.output) == (
        whole.usage.input_total,
        whole.usage.output,
    )


@pytest.mark.parametrize("name", [f"{_LLAMACPP_TOOLS}/toolcall-stream", f"{_VLLM}/toolcall-stream"])
def test_a_tool_call_in_a_stream_is_read(
    captured: Captured, decoded: DecodesStream, name: str
) -> None:
    answer = assemble(decoded(captured(name).body))
    [call] = (part for part in answer.parts if isinstance(part, ToolCall))
    assert (call.name, loads_object(call.arguments)) == ("get_weather", {"city": "Paris"})
    assert answer.finish is FinishReason.TOOL_CALLS
    # vLLM says a line break first.
    assert all(part.text == "\n" for part in answer.parts if isinstance(part, Text))


@pytest.mark.parametrize("name", _each("chat-stream-cut"))
def test_a_stream_that_was_cut_is_an_error_after_all_that_came_trap_86(
    captured: Captured, decoded: DecodesStream, name: str
) -> None:
    answer = captured(name)
    assert not answer.complete
    first, *between, last = decoded(answer.body)
    assert isinstance(first, Start)
    assert any(isinstance(event, TextDelta) for event in between)
    assert isinstance(last, StreamError)
    assert last.error.kind is ErrorKind.UPSTREAM_ERROR


# Errors


@pytest.mark.parametrize(
    ("name", "kind", "message", "code", "param"),
    [
        (
            f"{_LLAMACPP}/err-404",
            ErrorKind.MODEL_NOT_FOUND,
            "File Not Found",
            "not_found_error",
            None,
        ),
        (
            f"{_LLAMACPP}/err-badjson",
            ErrorKind.BAD_REQUEST,
            "parse error",
            "invalid_request_error",
            None,
        ),
        (
            f"{_LLAMACPP}/err-nomessages",
            ErrorKind.BAD_REQUEST,
            "'messages' is required",
            "invalid_request_error",
            None,
        ),
        (
            f"{_LLAMACPP}/err-toolong",
            ErrorKind.CONTEXT_OVERFLOW,
            "exceeds the available context",
            "exceed_context_size_error",
            None,
        ),
        (
            f"{_LLAMACPP}/err-toolong-stream",
            ErrorKind.CONTEXT_OVERFLOW,
            "9031 tokens",
            "exceed_context_size_error",
            None,
        ),
        (
            f"{_LLAMACPP}/chat-image",
            ErrorKind.BAD_REQUEST,
            "image input is not supported",
            "server_error",
            None,
        ),
        (f"{_LLAMACPP}/chat-n2", ErrorKind.BAD_REQUEST, "Field 'n'", "invalid_request_error", None),
        (
            f"{_LLAMACPP_TOOLS}/err-auth-bad-chat",
            ErrorKind.UNAUTHENTICATED,
            "Invalid API Key",
            "authentication_error",
            None,
        ),
        (f"{_VLLM}/err-404", ErrorKind.MODEL_NOT_FOUND, "Not Found", None, None),
        (f"{_VLLM}/err-405", ErrorKind.UPSTREAM_ERROR, "Method Not Allowed", None, None),
        (
            f"{_VLLM}/err-badtype",
            ErrorKind.BAD_REQUEST,
            "valid integer",
            "Bad Request",
            "max_tokens",
        ),
        (
            f"{_VLLM}/err-nomessages",
            ErrorKind.BAD_REQUEST,
            "Field required",
            "Bad Request",
            "messages",
        ),
        (
            f"{_VLLM}/err-toolong",
            ErrorKind.CONTEXT_OVERFLOW,
            "maximum context length",
            "BadRequestError",
            "input_tokens",
        ),
        (
            f"{_VLLM}/err-unknownmodel",
            ErrorKind.MODEL_NOT_FOUND,
            "does not exist",
            "NotFoundError",
            "model",
        ),
        (
            f"{_TRANSFORMERS}/err-badjson",
            ErrorKind.BAD_REQUEST,
            "28: JSON decode error",
            None,
            "28",
        ),
        (
            f"{_TRANSFORMERS}/err-badtype",
            ErrorKind.UPSTREAM_ERROR,
            "Internal Server Error",
            None,
            None,
        ),
        (
            f"{_TRANSFORMERS}/err-unknownmodel",
            ErrorKind.BAD_REQUEST,
            "Server is pinned",
            None,
            None,
        ),
        (f"{_OPENVINO}/err-badjson", ErrorKind.BAD_REQUEST, "not valid json", None, None),
        (f"{_OPENVINO}/err-nomessages", ErrorKind.BAD_REQUEST, "Messages missing", None, None),
        (f"{_OPENVINO}/err-unknownmodel", ErrorKind.MODEL_NOT_FOUND, "is not found", None, None),
        (f"{_OPENVINO}/err-auth", ErrorKind.UPSTREAM_ERROR, "Unauthorized", None, None),
    ],
)
def test_an_error_is_read_in_every_shape(
    captured: Captured,
    name: str,
    kind: ErrorKind,
    message: str,
    code: str | None,
    param: str | None,
) -> None:
    answer = captured(name)
    error = OpenAISpeech().decode_error(answer.status, answer.body)
    assert (error.kind, error.code, error.param) == (kind, code, param)
    assert message in error.message


# Models


@pytest.mark.parametrize(
    ("server", "model"),
    [
        (
            _LLAMACPP,
            ListedModel(
                "smollm2",
                4096,
                "llamacpp",
                capabilities=frozenset({Capability.CHAT}),
                lacks=frozenset({Capability.VISION, Capability.AUDIO}),
            ),
        ),
        (_VLLM, ListedModel("smollm2", 2048, "vllm")),
        (_OPENVINO, ListedModel("OpenVINO/SmolLM2-135M", owner="OVMS")),
    ],
)
def test_models_are_listed_once_each(captured: Captured, server: str, model: ListedModel) -> None:
    """llama.cpp's listing has both ``models`` and ``data``, and both the context that the server
    was started with and the one that the model was trained with."""
    listed = OpenAISpeech().decode_model_list(captured(f"{server}/models").body)
    assert listed == (model,)
