"""Errors for Ollama clients, and errors of Ollama servers."""

from __future__ import annotations

import httpx
import ollama
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.protocol.canonical.errors import ApiError, ErrorKind
from forebay.protocol.dialects.ollama import OLLAMA, OllamaSpeech
from forebay.protocol.jsontext import dumps

SPEECH = OllamaSpeech()
STATUS_OF_KIND = {
    ErrorKind.BAD_REQUEST: 400,
    ErrorKind.CONTEXT_OVERFLOW: 400,
    ErrorKind.UNAUTHENTICATED: 401,
    ErrorKind.PAYMENT_REQUIRED: 402,
    ErrorKind.FORBIDDEN: 403,
    ErrorKind.PATH_NOT_FOUND: 404,
    ErrorKind.MODEL_NOT_FOUND: 404,
    ErrorKind.METHOD_NOT_ALLOWED: 405,
    ErrorKind.REQUEST_TIMEOUT: 408,
    ErrorKind.TOO_LARGE: 413,
    ErrorKind.UNSUPPORTED_MEDIA_TYPE: 415,
    ErrorKind.RATE_LIMITED: 429,
    ErrorKind.UNAVAILABLE: 503,
    ErrorKind.UPSTREAM_TIMEOUT: 504,
    ErrorKind.UPSTREAM_ERROR: 502,
    ErrorKind.INTERNAL: 500,
}


@pytest.mark.parametrize("kind", ErrorKind)
def test_trap_3_every_error_is_one_string_under_its_status(kind: ErrorKind) -> None:
    error = ApiError(kind=kind, message="model 'x' not found", param="model", code="c")
    spoken = SPEECH.encode_error(error, "request-1")
    assert spoken.status == STATUS_OF_KIND[kind]
    assert spoken.body == {"error": "model 'x' not found"}


@pytest.mark.parametrize(("wait", "said"), [(4.2, 5), (30, 30), (0.0, 1)])
def test_trap_119_a_refusal_says_when_to_come_back_and_never_at_once(
    wait: float, said: int
) -> None:
    error = ApiError(kind=ErrorKind.RATE_LIMITED, message="full", retry_after=wait)
    assert SPEECH.encode_error(error, "r").body == {"error": "full", "retry_after": said}


def test_the_official_client_reads_the_error() -> None:
    spoken = SPEECH.encode_error(ApiError(kind=ErrorKind.MODEL_NOT_FOUND, message="no 'x'"), "r")

    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(spoken.status, content=dumps(spoken.body))

    client = ollama.Client(host="http://forebay.test", transport=httpx.MockTransport(handler))
    with pytest.raises(ollama.ResponseError, match="no 'x'") as failure:
        client.chat("x", [])
    assert failure.value.status_code == 404


@pytest.mark.parametrize(
    ("status", "body", "kind", "message", "code"),
    [
        (404, b'{"error":"model \'x\' not found"}', "MODEL_NOT_FOUND", "model 'x' not found", None),
        (
            401,
            b'{"error":"unauthorized","signin_url":"u"}',
            "UNAUTHENTICATED",
            "unauthorized",
            None,
        ),
        (400, b'{"error":"no"}', "BAD_REQUEST", "no", None),
        (422, b'{"detail":"no"}', "BAD_REQUEST", "no", None),
        (
            400,
            b'{"error":"the input length exceeds the context length"}',
            "CONTEXT_OVERFLOW",
            "the input length exceeds the context length",
            None,
        ),
        (
            500,
            b'{"error":"prompt too long; exceeded max context length by 9 tokens"}',
            "CONTEXT_OVERFLOW",
            "prompt too long; exceeded max context length by 9 tokens",
            None,
        ),
        (429, b'{"error":{"message":"slow","type":"t"}}', "RATE_LIMITED", "slow", "t"),
        (403, b'{"error":{"message":"no","code":7}}', "FORBIDDEN", "no", "7"),
        (503, b"server busy", "UNAVAILABLE", "server busy", None),
        (500, b'{"message":"broken","code":"c"}', "UPSTREAM_ERROR", "broken", "c"),
        (502, b"", "UPSTREAM_ERROR", "the upstream answered with status 502", None),
        (504, b"{}", "UPSTREAM_TIMEOUT", "{}", None),
        (500, b"null", "UPSTREAM_ERROR", "the upstream answered with status 500", None),
        (413, b'{"error":null}', "TOO_LARGE", "the upstream answered with status 413", None),
        (422, b'{"detail":[{"msg":"m"}]}', "BAD_REQUEST", '[{"msg":"m"}]', None),
    ],
)
def test_errors_of_servers_are_read_in_every_form(
    status: int, body: bytes, kind: str, message: str, code: str | None
) -> None:
    error = SPEECH.decode_error(status, body)
    assert (error.kind.name, error.message, error.code) == (kind, message, code)


@given(st.integers(300, 599), st.binary(max_size=40))
def test_any_body_is_an_error_with_a_message(status: int, body: bytes) -> None:
    assert SPEECH.decode_error(status, body).message


def test_a_page_meant_for_a_browser_is_cut() -> None:
    assert len(SPEECH.decode_error(502, b"<html>" + b"x" * 9000).message) == 2000


def test_deep_nesting_is_an_error_with_a_message() -> None:
    for body in (b'{"error":' * 900 + b"1" + b"}" * 900, b"[" * 900 + b"]" * 900):
        assert SPEECH.decode_error(500, body).message


def test_the_speech_is_ollamas() -> None:
    assert SPEECH.dialect == OLLAMA
