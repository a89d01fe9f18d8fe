"""Anthropic's error bodies, and the ids of its requests."""

from __future__ import annotations

from forebay.endpoints.sandbox._call import Identity
from forebay.endpoints.sandbox._failures import Failure, FailureKind, Refused
from forebay.endpoints.sandbox._fields import FieldFault, JsonType, Path
from forebay.endpoints.sandbox._http import Header
from forebay.protocol.jsontext import JsonObject, dumps

_INVALID = "invalid_request_error"

# Kind to status, type, message.
_SHAPES: dict[FailureKind, tuple[int, str, str]] = {
    FailureKind.BAD_JSON: (400, _INVALID, "The request body is not valid JSON"),
    FailureKind.MISSING_FIELD: (400, _INVALID, ""),
    FailureKind.WRONG_TYPE: (400, _INVALID, ""),
    FailureKind.BAD_VALUE: (400, _INVALID, "Invalid request"),
    FailureKind.UNSUPPORTED: (400, _INVALID, ""),
    FailureKind.CONTEXT: (400, _INVALID, "prompt is too long: 200001 tokens > 200000 maximum"),
    FailureKind.UNAUTHORIZED: (401, "authentication_error", "invalid x-api-key"),
    FailureKind.NO_CREDIT: (402, "billing_error", "Your credit balance is too low."),
    FailureKind.QUOTA: (402, "billing_error", "Your credit balance is too low."),
    FailureKind.NO_MODEL: (404, "not_found_error", ""),
    FailureKind.NO_PATH: (404, "not_found_error", "Not Found"),
    FailureKind.WRONG_METHOD: (405, _INVALID, "Method Not Allowed"),
    FailureKind.TOO_LARGE: (413, "request_too_large", "Request exceeds the maximum size"),
    FailureKind.RATE_LIMITED: (
        429,
        "rate_limit_error",
        "This request would exceed your organization's rate limit.",
    ),
    FailureKind.UNAVAILABLE: (503, "overloaded_error", "Overloaded"),
    FailureKind.OVERLOADED: (529, "overloaded_error", "Overloaded"),
    FailureKind.SERVER_ERROR: (500, "api_error", "Internal server error"),
}

_EXPECTED = {
    JsonType.TEXT: "string",
    JsonType.INTEGER: "integer",
    JsonType.NUMBER: "number",
    JsonType.FLAG: "boolean",
    JsonType.LIST: "list",
    JsonType.OBJECT: "dictionary",
}


class AnthropicErrors:
    """The error half of the Anthropic dialect."""

    json_type = b"application/json"

    def field_failure(self, fault: FieldFault) -> Failure:
        param = path_text(fault.path)
        if fault.missing:
            return Failure(FailureKind.MISSING_FIELD, f"{param}: Field required", param)
        message = f"{param}: Input should be a valid {_EXPECTED[fault.expected]}"
        return Failure(FailureKind.WRONG_TYPE, message, param)

    def failure(self, failure: Failure, identity: Identity) -> tuple[int, JsonObject]:
        status, kind, message = _SHAPES[failure.kind]
        if failure.kind is FailureKind.BAD_JSON and failure.message:
            message = f"{message}: {failure.message}"
        elif failure.message:
            message = failure.message
        return status, {
            "type": "error",
            "error": {"type": kind, "message": message},
            "request_id": request_id(identity),
        }

    def failure_frame(self, failure: Failure, identity: Identity) -> bytes:
        _, body = self.failure(failure, identity)
        return b"event: error\ndata: " + dumps(body) + b"\n\n"

    def headers(self, identity: Identity) -> list[Header]:
        return [
            (b"request-id", request_id(identity).encode()),
            (b"anthropic-organization-id", b"00000000-0000-4000-8000-000000000000"),
        ]

    def json(self, body: JsonObject) -> bytes:
        return dumps(body)


def request_id(identity: Identity) -> str:
    return f"req_{identity.hex}"


def path_text(path: Path) -> str:
    """``messages.0.content``."""
    return ".".join(map(str, path))


def bad(path: Path, what: str) -> Refused:
    """A value that the schema allows and the API does not."""
    param = path_text(path)
    message = f"{param}: {what}" if param else what
    return Refused(Failure(FailureKind.BAD_VALUE, message, param or None))
