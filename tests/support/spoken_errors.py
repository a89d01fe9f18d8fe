"""The shape that every error must have in each dialect, and a request in each API."""

from __future__ import annotations

from collections.abc import Mapping

from forebay.protocol.jsontext import JsonObject, JsonValue, loads_object

OPENAI, ANTHROPIC, OLLAMA = "openai", "anthropic", "ollama"

CHAT_PATHS = {
    "/v1/chat/completions": OPENAI,
    "/v1/messages": ANTHROPIC,
    "/api/chat": OLLAMA,
    "/api/generate": OLLAMA,
}
"""The paths that ask for an answer, and whose dialect they are."""

JSON_TYPES = {
    OPENAI: "application/json",
    ANTHROPIC: "application/json",
    OLLAMA: "application/json; charset=utf-8",
}
"""What servers of each dialect call an answer that is one JSON object."""

UNAVAILABLE = {OPENAI: 503, ANTHROPIC: 529, OLLAMA: 503}
"""The status with which each dialect says that nobody can serve now."""


def request_of(path: str, text: str = "hello", /, **fields: JsonValue) -> JsonObject:
    """A valid request to one of :data:`CHAT_PATHS`, for a model ``fast``, answered whole."""
    if path == "/api/generate":
        return {"model": "fast", "prompt": text, "stream": False, **fields}
    body: JsonObject = {
        "model": "fast",
        "messages": [{"role": "user", "content": text}],
        "stream": False,
    }
    if path == "/v1/messages":
        body["max_tokens"] = 100
    return {**body, **fields}


def assert_spoken(
    dialect: str, status: int, answer_status: int, headers: Mapping[str, str], body: bytes
) -> str:
    """Check a whole error answer; return its message.

    Args:
        headers: names in lower case.
    """
    assert answer_status == status, body[:300]
    assert headers["content-type"] == JSON_TYPES[dialect]
    request_id = headers["x-request-id"]
    assert request_id.startswith("req_")
    assert headers["request-id"] == request_id
    spoken = loads_object(body)
    message = error_message(dialect, spoken, is_whole=True)
    assert spoken.get("request_id", request_id) == request_id
    assert "Traceback" not in message
    return message


def error_message(dialect: str, body: JsonObject, *, is_whole: bool) -> str:
    """The message of an error, after a check of its keys.

    Args:
        is_whole: an answer by itself; False: an event in a stream, which has no request id.
    """
    error = body["error"]
    match dialect:
        case "openai":
            assert set(body) == {"error"}
            assert isinstance(error, dict)
            assert set(error) - {"retry_after"} == {"message", "type", "param", "code"}
            assert isinstance(error["type"], str)
            message = error["message"]
        case "anthropic":
            assert set(body) == {"type", "error", *(["request_id"] if is_whole else [])}
            assert body["type"] == "error"
            assert not is_whole or isinstance(body["request_id"], str)
            assert isinstance(error, dict)
            assert set(error) - {"retry_after"} == {"type", "message"}
            assert isinstance(error["type"], str)
            message = error["message"]
        case _:
            assert set(body) - {"retry_after"} == {"error"}
            message = error
    assert isinstance(message, str)
    assert message
    return message
