"""Errors, spoken to clients and read from upstreams."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.protocol.canonical.errors import ApiError, ErrorKind
from forebay.protocol.dialects.openai import OpenAISpeech
from forebay.protocol.jsontext import dumps

_SPEECH = OpenAISpeech()
_HTML = b"<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head><body>x</body></html>"


@pytest.mark.parametrize(
    ("kind", "status", "error_type", "code"),
    [
        (ErrorKind.BAD_REQUEST, 400, "invalid_request_error", None),
        (ErrorKind.CONTEXT_OVERFLOW, 400, "invalid_request_error", "context_length_exceeded"),
        (ErrorKind.UNAUTHENTICATED, 401, "invalid_request_error", "invalid_api_key"),
        (ErrorKind.PAYMENT_REQUIRED, 402, "insufficient_quota", "insufficient_quota"),
        (ErrorKind.FORBIDDEN, 403, "permission_error", None),
        (ErrorKind.PATH_NOT_FOUND, 404, "invalid_request_error", "unknown_url"),
        (ErrorKind.MODEL_NOT_FOUND, 404, "invalid_request_error", "model_not_found"),
        (ErrorKind.METHOD_NOT_ALLOWED, 405, "invalid_request_error", "method_not_supported"),
        (ErrorKind.REQUEST_TIMEOUT, 408, "invalid_request_error", "request_timeout"),
        (ErrorKind.TOO_LARGE, 413, "invalid_request_error", "request_too_large"),
        (ErrorKind.UNSUPPORTED_MEDIA_TYPE, 415, "invalid_request_error", "unsupported_media_type"),
        (ErrorKind.RATE_LIMITED, 429, "rate_limit_error", "rate_limit_exceeded"),
        (ErrorKind.UNAVAILABLE, 503, "server_error", "overloaded"),
        (ErrorKind.UPSTREAM_TIMEOUT, 504, "server_error", "upstream_timeout"),
        (ErrorKind.UPSTREAM_ERROR, 502, "server_error", "upstream_error"),
        (ErrorKind.INTERNAL, 500, "server_error", "internal_error"),
    ],
)
def test_every_kind_is_spoken_with_all_four_keys_trap_3(
    kind: ErrorKind, status: int, error_type: str, code: str | None
) -> None:
    spoken = _SPEECH.encode_error(ApiError(kind=kind, message="why"), "req_1")
    assert spoken.status == status
    assert spoken.body == {
        "error": {"message": "why", "type": error_type, "param": None, "code": code}
    }


def test_every_kind_there_is_can_be_spoken() -> None:
    for kind in ErrorKind:
        assert _SPEECH.encode_error(ApiError(kind=kind, message="why"), "r").status >= 400


def test_the_field_the_code_and_the_time_to_wait_are_spoken() -> None:
    error = ApiError(
        kind=ErrorKind.BAD_REQUEST, message="why", param="messages[0].role", code="invalid_value"
    )
    assert _SPEECH.encode_error(error, "r").body["error"] == {
        "message": "why",
        "type": "invalid_request_error",
        "param": "messages[0].role",
        "code": "invalid_value",
    }
    limited = ApiError(
        kind=ErrorKind.RATE_LIMITED, message="why", code="overloaded_error", retry_after=1.5
    )
    assert _SPEECH.encode_error(limited, "r").body["error"] == {
        "message": "why",
        "type": "rate_limit_error",
        "param": None,
        "code": "rate_limit_exceeded",
        "retry_after": 1.5,
    }


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ErrorKind.BAD_REQUEST),
        (401, ErrorKind.UNAUTHENTICATED),
        (402, ErrorKind.PAYMENT_REQUIRED),
        (403, ErrorKind.FORBIDDEN),
        (404, ErrorKind.MODEL_NOT_FOUND),
        (405, ErrorKind.UPSTREAM_ERROR),
        (408, ErrorKind.UPSTREAM_TIMEOUT),
        (409, ErrorKind.BAD_REQUEST),
        (412, ErrorKind.BAD_REQUEST),
        (413, ErrorKind.TOO_LARGE),
        (422, ErrorKind.BAD_REQUEST),
        (424, ErrorKind.UPSTREAM_ERROR),
        (429, ErrorKind.RATE_LIMITED),
        (500, ErrorKind.UPSTREAM_ERROR),
        (502, ErrorKind.UPSTREAM_ERROR),
        (503, ErrorKind.UNAVAILABLE),
        (504, ErrorKind.UPSTREAM_TIMEOUT),
        (529, ErrorKind.UNAVAILABLE),
        (302, ErrorKind.UPSTREAM_ERROR),
    ],
)
def test_the_status_tells_the_kind(status: int, kind: ErrorKind) -> None:
    for body in (b"", b"oops", b'{"error":{"message":"oops"}}'):
        assert _SPEECH.decode_error(status, body).kind is kind


@pytest.mark.parametrize(
    ("body", "message", "code", "param"),
    [
        (
            b'{"error":{"message":"bad","type":"t","param":"n","code":"c"}}',
            "bad",
            "c",
            "n",
        ),
        (b'{"error":{"message":"bad","type":"t","param":null,"code":null}}', "bad", "t", None),
        (
            b'{"error":{"message":"bad","type":"BadRequestError","code":400}}',
            "bad",
            "BadRequestError",
            None,
        ),
        (b'{"error":{"message":"bad","code":400}}', "bad", "400", None),
        (b'{"error":{"code":"1214","message":"bad"}}', "bad", "1214", None),
        (b'{"error":"bad"}', "bad", None, None),
        (b'{"error":"bad","error_type":"validation"}', "bad", "validation", None),
        (b'{"error":{"error":{"message":"bad"}}}', "bad", None, None),
        (b'{"type":"error","error":{"type":"t","message":"bad"}}', "bad", "t", None),
        (b'{"detail":"bad"}', "bad", None, None),
        (b'{"detail":{"message":"bad","code":"c"}}', "bad", "c", None),
        (
            b'{"detail":[{"loc":["body","messages",0,"role"],"msg":"bad","type":"t"},'
            b'{"loc":["body","n"],"msg":"worse","type":"t"}]}',
            "messages.0.role: bad; n: worse",
            None,
            "messages.0.role",
        ),
        (b'{"object":"error","message":"bad","type":"t","code":40001}', "bad", "t", None),
        (b'{"message":"bad"}', "bad", None, None),
        (b'{"msg":"bad"}', "bad", None, None),
        (b'[{"error":{"code":400,"message":"bad","status":"INVALID"}}]', "bad", "INVALID", None),
        (
            b'{"error":{"code":400,"message":"Provider returned error",'
            b'"metadata":{"raw":"bad","provider_name":"x"}}}',
            "Provider returned error: bad",
            "400",
            None,
        ),
        (b'"bad"', "bad", None, None),
        (b"  bad\n", "bad", None, None),
        (b"\xff\xfe", "\ufffd\ufffd", None, None),
        (_HTML, "the upstream answered with a web page: 502 Bad Gateway", None, None),
    ],
)
def test_any_shape_of_body_is_read(
    body: bytes, message: str, code: str | None, param: str | None
) -> None:
    error = _SPEECH.decode_error(400, body)
    assert (error.message, error.code, error.param) == (message, code, param)


@pytest.mark.parametrize(
    "body", [b"", b"  ", b"null", b"[]", b"{}", b'{"error":{}}', b'{"error":[1]}', b"<html>", b"7"]
)
def test_a_body_that_says_nothing_still_gives_a_message(body: bytes) -> None:
    assert "503" in _SPEECH.decode_error(503, body).message


@pytest.mark.parametrize(
    "error",
    [
        b'{"code":"context_length_exceeded","message":"m"}',
        b'{"type":"exceed_context_size_error","message":"m","code":400}',
        b'{"message":"This model\'s maximum context length is 2048 tokens. However, ..."}',
        b'{"message":"prompt is too long: 9 tokens > 8 maximum"}',
        b'{"message":"the request exceeds the available context size"}',
    ],
)
def test_an_overflow_of_the_context_is_recognised_trap_122(error: bytes) -> None:
    body = b'{"error":' + error + b"}"
    assert _SPEECH.decode_error(400, body).kind is ErrorKind.CONTEXT_OVERFLOW


def test_a_rate_limit_that_mentions_the_context_stays_a_rate_limit() -> None:
    body = b'{"error":{"message":"Too many tokens in your context window per minute"}}'
    assert _SPEECH.decode_error(429, body).kind is ErrorKind.RATE_LIMITED


def test_an_unknown_model_may_be_told_by_the_code_alone() -> None:
    body = b'{"error":{"message":"m","code":"model_not_found"}}'
    assert _SPEECH.decode_error(400, body).kind is ErrorKind.MODEL_NOT_FOUND


def test_the_time_to_wait_is_read_where_waiting_helps() -> None:
    body = b'{"error":{"message":"m","retry_after":2.5}}'
    assert _SPEECH.decode_error(429, body).retry_after == 2.5
    assert _SPEECH.decode_error(503, body).retry_after == 2.5
    assert _SPEECH.decode_error(400, body).retry_after is None
    for useless in (b"0", b"-1", b'"x"', b"1e300", b"null"):
        body = b'{"error":{"message":"m","retry_after":' + useless + b"}}"
        assert _SPEECH.decode_error(429, body).retry_after is None


def test_a_long_message_is_cut() -> None:
    assert len(_SPEECH.decode_error(500, b"x" * 100_000).message) == 2000
    long = dumps({"error": {"message": "x" * 100_000, "code": "y" * 100_000}})
    error = _SPEECH.decode_error(500, long)
    assert len(error.message) == 2000
    assert error.code is not None
    assert len(error.code) <= 200


def test_our_own_errors_are_read_back_as_what_they_were() -> None:
    """One gateway may stand behind another."""
    for kind in (ErrorKind.CONTEXT_OVERFLOW, ErrorKind.RATE_LIMITED, ErrorKind.MODEL_NOT_FOUND):
        spoken = _SPEECH.encode_error(ApiError(kind=kind, message="why"), "r")
        read = _SPEECH.decode_error(spoken.status, dumps(spoken.body))
        assert (read.kind, read.message) == (kind, "why")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-999, 999) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "error",
                    "detail",
                    "message",
                    "code",
                    "type",
                    "param",
                    "metadata",
                    "raw",
                    "loc",
                    "msg",
                    "retry_after",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.integers(100, 599), _JSON.map(dumps) | st.binary(max_size=30))
def test_no_body_is_too_strange(status: int, body: bytes) -> None:
    error = _SPEECH.decode_error(status, body)
    assert error.message
    spoken = _SPEECH.encode_error(error, "r")
    assert dumps(spoken.body)
