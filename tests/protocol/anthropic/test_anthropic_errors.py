"""Errors in Anthropic's shape, written and read."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.protocol.canonical.errors import ApiError, ErrorKind
from forebay.protocol.dialects.anthropic import AnthropicSpeech
from forebay.protocol.jsontext import JsonObject, JsonValue, dumps

SPEECH = AnthropicSpeech()


@pytest.mark.parametrize(
    ("kind", "status", "name"),
    [
        (ErrorKind.BAD_REQUEST, 400, "invalid_request_error"),
        (ErrorKind.CONTEXT_OVERFLOW, 400, "invalid_request_error"),
        (ErrorKind.UNAUTHENTICATED, 401, "authentication_error"),
        (ErrorKind.PAYMENT_REQUIRED, 402, "billing_error"),
        (ErrorKind.FORBIDDEN, 403, "permission_error"),
        (ErrorKind.PATH_NOT_FOUND, 404, "not_found_error"),
        (ErrorKind.MODEL_NOT_FOUND, 404, "not_found_error"),
        (ErrorKind.METHOD_NOT_ALLOWED, 405, "invalid_request_error"),
        (ErrorKind.REQUEST_TIMEOUT, 408, "timeout_error"),
        (ErrorKind.TOO_LARGE, 413, "request_too_large"),
        (ErrorKind.UNSUPPORTED_MEDIA_TYPE, 415, "invalid_request_error"),
        (ErrorKind.RATE_LIMITED, 429, "rate_limit_error"),
        (ErrorKind.UNAVAILABLE, 529, "overloaded_error"),
        (ErrorKind.UPSTREAM_TIMEOUT, 504, "timeout_error"),
        (ErrorKind.UPSTREAM_ERROR, 502, "api_error"),
        (ErrorKind.INTERNAL, 500, "api_error"),
    ],
)
def test_every_kind_has_its_status_and_type_trap_3(kind: ErrorKind, status: int, name: str) -> None:
    spoken = SPEECH.encode_error(ApiError(kind=kind, message="prompt is too long"), "req_1")
    assert spoken.status == status
    assert spoken.body == {
        "type": "error",
        "error": {"type": name, "message": "prompt is too long"},
        "request_id": "req_1",
    }


def test_every_kind_is_spoken() -> None:
    for kind in ErrorKind:
        assert 400 <= SPEECH.encode_error(ApiError(kind=kind, message="x"), "").status < 600


def error_of(
    kind: ErrorKind = ErrorKind.BAD_REQUEST,
    *,
    message: str = "x",
    param: str | None = None,
    retry_after: float | None = None,
) -> JsonObject:
    written = ApiError(kind=kind, message=message, param=param, retry_after=retry_after)
    error = SPEECH.encode_error(written, "r").body["error"]
    assert isinstance(error, dict)
    return error


def test_the_field_at_fault_is_named_once() -> None:
    assert error_of(message="must be a string", param="a.b")["message"] == "a.b: must be a string"
    assert error_of(message="'a.b' must be a string", param="a.b")["message"] == (
        "'a.b' must be a string"
    )


def test_a_rate_limit_says_when_to_come_back() -> None:
    error = error_of(ErrorKind.RATE_LIMITED, retry_after=7.5)
    assert error["retry_after"] == 7.5
    assert "retry_after" not in error_of()


@pytest.mark.parametrize(
    ("message", "spoken"),
    [
        ("prompt is too long: 5 tokens > 4 maximum", "prompt is too long: 5 tokens > 4 maximum"),
        (
            "This model's maximum context length is 8192 tokens. However, your messages resulted"
            " in 10000 tokens (9000 in the messages, 1000 in the completion).",
            "prompt is too long: 10000 tokens > 8192 maximum",
        ),
        (
            "request (9031 tokens) exceeds the available context size (4096 tokens), try"
            " increasing it",
            "prompt is too long: 9031 tokens > 4096 maximum",
        ),
        (
            "input length and `max_tokens` exceed context limit: 199000 + 8192 > 200000",
            "input length and `max_tokens` exceed context limit: 199000 + 8192 > 200000",
        ),
        ("too many words", "prompt is too long: too many words"),
        ("the limit is 4096", "prompt is too long: the limit is 4096"),
    ],
)
def test_an_overflow_is_said_so_that_agents_compact_trap_122(message: str, spoken: str) -> None:
    assert error_of(ErrorKind.CONTEXT_OVERFLOW, message=message)["message"] == spoken


def anthropic_error(name: str, message: str = "x", **fields: JsonValue) -> bytes:
    return dumps({"type": "error", "error": {"type": name, "message": message, **fields}})


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (400, anthropic_error("invalid_request_error"), ErrorKind.BAD_REQUEST, None),
        (
            400,
            anthropic_error("invalid_request_error", "prompt is too long: 9 tokens > 8 maximum"),
            ErrorKind.CONTEXT_OVERFLOW,
            None,
        ),
        (
            400,
            anthropic_error("invalid_request_error", "Your credit balance is too low to access"),
            ErrorKind.PAYMENT_REQUIRED,
            None,
        ),
        (401, anthropic_error("authentication_error"), ErrorKind.UNAUTHENTICATED, None),
        (402, anthropic_error("billing_error"), ErrorKind.PAYMENT_REQUIRED, None),
        (403, anthropic_error("permission_error"), ErrorKind.FORBIDDEN, None),
        (404, anthropic_error("not_found_error"), ErrorKind.MODEL_NOT_FOUND, None),
        (409, anthropic_error("conflict_error"), ErrorKind.BAD_REQUEST, None),
        (413, anthropic_error("request_too_large"), ErrorKind.TOO_LARGE, None),
        (429, anthropic_error("rate_limit_error"), ErrorKind.RATE_LIMITED, None),
        (
            429,
            anthropic_error(
                "rate_limit_error", details={"error_code": "enforced_spend_limit_reached"}
            ),
            ErrorKind.RATE_LIMITED,
            "enforced_spend_limit_reached",
        ),
        (500, anthropic_error("api_error"), ErrorKind.UPSTREAM_ERROR, None),
        (500, anthropic_error("overloaded_error"), ErrorKind.UNAVAILABLE, None),
        (502, anthropic_error("timeout_error"), ErrorKind.UPSTREAM_TIMEOUT, None),
        (503, anthropic_error("overloaded_error"), ErrorKind.UNAVAILABLE, None),
        (504, anthropic_error("timeout_error"), ErrorKind.UPSTREAM_TIMEOUT, None),
        (529, anthropic_error("overloaded_error"), ErrorKind.UNAVAILABLE, None),
    ],
)
def test_errors_of_anthropic_are_read(
    status: int, body: bytes, kind: ErrorKind, code: str | None
) -> None:
    error = SPEECH.decode_error(status, body)
    assert error.kind is kind
    if code is not None:
        assert error.code == code
    else:
        assert error.code is not None
        assert error.code.endswith(("_error", "_too_large"))


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (400, b'{"error":{"message":"bad","type":"x","code":null,"param":"a"}}', "bad"),
        (400, b'{"error":"bad"}', "bad"),
        (400, b'{"message":"bad"}', "bad"),
        (404, b'{"detail":"bad"}', "bad"),
        (422, b'{"detail":[{"msg":"bad","loc":["a"]},{"msg":"worse"}]}', "bad; worse"),
        (502, b"bad gateway\n", "bad gateway"),
        (500, b'"bad"', "bad"),
        (500, b"", "the upstream answered with status 500"),
        (502, b"<html><h1>Bad gateway</h1>", "the upstream answered with status 502"),
        (500, b"[]", "the upstream answered with status 500"),
        (500, b'{"type":"error"}', "the upstream answered with status 500"),
        (500, b'{"type":"error","error":{}}', "the upstream answered with status 500"),
    ],
)
def test_errors_of_any_other_shape_are_read(status: int, body: bytes, message: str) -> None:
    assert SPEECH.decode_error(status, body).message == message


def test_the_param_of_an_openai_shape_is_kept() -> None:
    body = b'{"error":{"message":"bad","type":"x","code":null,"param":"a"}}'
    assert SPEECH.decode_error(400, body).param == "a"


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        (
            "llamacpp-0.7.0-b11669/messages-err-stream-toolong",
            ErrorKind.CONTEXT_OVERFLOW,
            "9031 tokens > 4096 maximum",
        ),
        ("llamacpp-tools-template/err-auth-messages", ErrorKind.UNAUTHENTICATED, "Invalid API Key"),
        (
            "vllm-0.32.0-cpu/messages-err-stream-toolong",
            ErrorKind.CONTEXT_OVERFLOW,
            "2049 tokens > 2048 maximum",
        ),
        ("vllm-0.32.0-cpu/messages-err", ErrorKind.BAD_REQUEST, "max_tokens"),
    ],
)
def test_captured_errors_are_read_and_spoken(
    answer: Callable[[str], tuple[int, bytes]], name: str, kind: ErrorKind, words: str
) -> None:
    error = SPEECH.decode_error(*answer(name))
    assert error.kind is kind
    spoken = SPEECH.encode_error(error, "r").body["error"]
    assert isinstance(spoken, dict)
    assert words in str(spoken["message"])


def test_when_another_gateway_says_to_come_back() -> None:
    body = anthropic_error("rate_limit_error", retry_after=3)
    assert SPEECH.decode_error(429, body).retry_after == 3
    assert SPEECH.decode_error(400, body).retry_after is None


@given(st.integers(300, 599), st.binary(max_size=40) | st.just(b'{"error":{"code":[]}}'))
def test_no_body_breaks_the_reader(status: int, body: bytes) -> None:
    error = SPEECH.decode_error(status, body)
    assert error.message
    assert SPEECH.encode_error(error, "r").body["type"] == "error"
