"""``text``: what the answer must look like, and how wordy it is."""

from __future__ import annotations

from forebay.protocol.canonical.errors import bad_request
from forebay.protocol.canonical.requests import TEXT_OUTPUT, OutputFormat, OutputKind
from forebay.protocol.dialects.fields import optional_object, required_string, rest_of
from forebay.protocol.dialects.openai._named_schema import (
    NAMED_SCHEMA_FIELDS,
    decode_named_schema,
    encode_named_schema,
)
from forebay.protocol.jsontext import JsonObject


def decode_text(body: JsonObject) -> tuple[OutputFormat, JsonObject]:
    """The format, and what else ``text`` says.

    Raises:
        ApiFailure: BAD_REQUEST that names the field.
    """
    text = optional_object(body, "text")
    if text is None:
        return TEXT_OUTPUT, {}
    rest = rest_of(text, ("format",))
    form = optional_object(text, "format", "text.")
    if form is None:
        return TEXT_OUTPUT, rest
    path = "text.format."
    match required_string(form, "type", path):
        case "text":
            return TEXT_OUTPUT, rest
        case "json_object":
            return OutputFormat(kind=OutputKind.JSON), rest
        case "json_schema":
            if unknown := rest_of(form, ("type", *NAMED_SCHEMA_FIELDS)):
                rest["format"] = unknown
            return decode_named_schema(form, path), rest
        case other:
            raise bad_request(
                f"invalid value {other!r} for '{path}type': expected 'text', 'json_object' or "
                "'json_schema'",
                param=f"{path}type",
                code="invalid_value",
            )


def encode_format(output: OutputFormat) -> JsonObject:
    """``text.format``."""
    match output.kind:
        case OutputKind.TEXT:
            return {"type": "text"}
        case OutputKind.JSON:
            return {"type": "json_object"}
        case OutputKind.JSON_SCHEMA:
            return {"type": "json_schema", **encode_named_schema(output)}


def encode_text(output: OutputFormat, rest: JsonObject) -> JsonObject | None:
    """The field, or None where plain text is meant anyway."""
    said = dict(rest)
    unknown = said.pop("format", None)
    if output.kind is not OutputKind.TEXT:
        said["format"] = {
            **(unknown if isinstance(unknown, dict) else {}),
            **encode_format(output),
        }
    return said or None
