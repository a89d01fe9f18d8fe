"""Ollama's error bodies: one message, in the words of its Go server."""

from __future__ import annotations

from forebay.endpoints.sandbox._call import Identity
from forebay.endpoints.sandbox._failures import Failure, FailureKind
from forebay.endpoints.sandbox._fields import FieldFault, JsonType
from forebay.endpoints.sandbox._http import Header
from forebay.endpoints.sandbox._limits import LimitScope
from forebay.endpoints.sandbox._ollama_json import go_dumps
from forebay.protocol.jsontext import JsonObject, JsonValue

# Kind to status and message.
_SHAPES: dict[FailureKind, tuple[int, str]] = {
    FailureKind.BAD_JSON: (400, "invalid request body"),
    FailureKind.MISSING_FIELD: (400, ""),
    FailureKind.WRONG_TYPE: (400, ""),
    FailureKind.BAD_VALUE: (400, "invalid request"),
    FailureKind.UNSUPPORTED: (400, ""),
    FailureKind.CONTEXT: (400, "the input length exceeds the context length"),
    FailureKind.UNAUTHORIZED: (401, "unauthorized"),
    FailureKind.NO_CREDIT: (402, "payment required: your balance is used up"),
    FailureKind.QUOTA: (
        429,
        "you have reached your weekly usage limit, please wait or upgrade to continue",
    ),
    FailureKind.NO_MODEL: (404, ""),
    FailureKind.NO_PATH: (404, "404 page not found"),
    FailureKind.WRONG_METHOD: (405, "405 method not allowed"),
    FailureKind.TOO_LARGE: (413, "request body too large"),
    FailureKind.RATE_LIMITED: (429, "too many requests"),
    FailureKind.UNAVAILABLE: (
        503,
        "server busy, please try again. maximum pending requests exceeded",
    ),
    FailureKind.OVERLOADED: (529, "server overloaded, please try again"),
    FailureKind.SERVER_ERROR: (500, "llama runner process has terminated: exit status 2"),
}

_GO_TYPES = {
    JsonType.TEXT: "string",
    JsonType.INTEGER: "int",
    JsonType.NUMBER: "float32",
    JsonType.FLAG: "bool",
    JsonType.LIST: "[]interface {}",
    JsonType.OBJECT: "map[string]interface {}",
}


class OllamaErrors:
    """The error half of the Ollama dialect."""

    json_type = b"application/json; charset=utf-8"

    def field_failure(self, fault: FieldFault) -> Failure:
        # Go names the path without indexes.
        param = ".".join(step for step in fault.path if isinstance(step, str))
        if fault.missing:
            return Failure(FailureKind.MISSING_FIELD, f"{param} is required", param)
        message = (
            f"json: cannot unmarshal {_go_name(fault.got)} into Go struct field {param} "
            f"of type {_GO_TYPES[fault.expected]}"
        )
        return Failure(FailureKind.WRONG_TYPE, message, param)

    def failure(self, failure: Failure, identity: Identity) -> tuple[int, JsonObject]:
        status, message = _SHAPES[failure.kind]
        if failure.kind is FailureKind.RATE_LIMITED and failure.scope is LimitScope.CONCURRENCY:
            message = "too many concurrent requests"
        return status, {"error": failure.message or message}

    def failure_frame(self, failure: Failure, identity: Identity) -> bytes:
        _, body = self.failure(failure, identity)
        return self.json(body) + b"\n"

    def headers(self, identity: Identity) -> list[Header]:
        return []

    def json(self, body: JsonObject) -> bytes:
        return go_dumps(body)


def _go_name(value: JsonValue) -> str:
    match value:
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"
