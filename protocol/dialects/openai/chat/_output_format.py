"""``response_format``: what the answer must look like."""

from __future__ import annotations

from forebay.protocol.canonical.errors import bad_request
from forebay.protocol.canonical.requests import TEXT_OUTPUT, OutputFormat, OutputKind
from forebay.protocol.dialects.fields import missing, optional_object, required_string
from forebay.protocol.dialects.openai._named_schema import (
    decode_named_schema,
    encode_named_schema,
)
from forebay.protocol.jsontext import JsonObject


def decode_output(body: JsonObject) -> tuple[OutputFormat, JsonObject | None]:
    """The canonical format, and the raw field where the canonical form can't say all of it.

    Raises:
        ApiFailure: BAD_REQUEST that names the field.
    """
    value = optional_object(body, "response_format")
    if value is None:
        return TEXT_OUTPUT, None
    match required_string(value, "type", "response_format."):
        case "text":
            return TEXT_OUTPUT, None
        case "json_object":
            schema = optional_object(value, "schema", "response_format.")
            if schema is None:
                return OutputFormat(kind=OutputKind.JSON), None
            # The schema beside the type: llama.cpp and Together.
            return OutputFormat(kind=OutputKind.JSON_SCHEMA, schema=schema), value
        case "json_schema":
            return _decode_schema(value), None
        case other:
            raise bad_request(
                f"invalid value {other!r} for 'response_format.type': expected 'text', "
                "'json_object' or 'json_schema'",
                param="response_format.type",
                code="invalid_value",
            )


def _decode_schema(value: JsonObject) -> OutputFormat:
    wrapper = optional_object(value, "json_schema", "response_format.")
    if wrapper is None:
        raise missing("response_format.json_schema")
    return decode_named_schema(wrapper, "response_format.json_schema.")


def encode_output(output: OutputFormat) -> JsonObject | None:
    """The field, or None where plain text is meant anyway."""
    match output.kind:
        case OutputKind.TEXT:
            return None
        case OutputKind.JSON:
            return {"type": "json_object"}
        case OutputKind.JSON_SCHEMA:
            return {"type": "json_schema", "json_schema": encode_named_schema(output)}
