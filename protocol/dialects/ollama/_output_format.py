"""``format``: free text, any JSON, or JSON that follows a schema."""

from __future__ import annotations

from typing import assert_never

from forebay.protocol.canonical.errors import bad_request
from forebay.protocol.canonical.requests import TEXT_OUTPUT, OutputFormat, OutputKind
from forebay.protocol.dialects.fields import wrong_type
from forebay.protocol.jsontext import JsonObject, JsonValue


def decode_format(value: JsonValue) -> OutputFormat:
    """Raises:
    ApiFailure: BAD_REQUEST, the value is none of ``""``, ``"json"`` and a schema object.
    """
    match value:
        case None | "":
            return TEXT_OUTPUT
        case "json":
            return OutputFormat(kind=OutputKind.JSON)
        case dict():
            return OutputFormat(kind=OutputKind.JSON_SCHEMA, schema=value)
        case str():
            raise bad_request(
                f"invalid value {value!r} for 'format': expected 'json' or a JSON schema",
                param="format",
                code="invalid_value",
            )
        case _:
            raise wrong_type("format", "'json' or a JSON schema", value)


def encode_format(output: OutputFormat) -> str | JsonObject | None:
    """None: leave the field out."""
    match output.kind:
        case OutputKind.TEXT:
            return None
        case OutputKind.JSON:
            return "json"
        case OutputKind.JSON_SCHEMA:
            return "json" if output.schema is None else output.schema
        case _:
            assert_never(output.kind)
