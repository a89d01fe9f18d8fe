"""A schema for the answer, with the name that OpenAI wants it to have: both APIs say it with the
same fields, at different places."""

from __future__ import annotations

import re

from forebay.protocol.canonical.requests import OutputFormat, OutputKind
from forebay.protocol.dialects.fields import (
    missing,
    optional_bool,
    optional_object,
    optional_string,
    required_string,
)
from forebay.protocol.jsontext import JsonObject

NAMED_SCHEMA_FIELDS = ("name", "schema", "description", "strict")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DEFAULT_NAME = "answer"


def decode_named_schema(value: JsonObject, path: str) -> OutputFormat:
    """Raises:
    ApiFailure: BAD_REQUEST that names the field.
    """
    schema = optional_object(value, "schema", path)
    if schema is None:
        raise missing(f"{path}schema")
    return OutputFormat(
        kind=OutputKind.JSON_SCHEMA,
        schema=schema,
        name=required_string(value, "name", path),
        description=optional_string(value, "description", path),
        strict=optional_bool(value, "strict", path),
    )


def encode_named_schema(output: OutputFormat) -> JsonObject:
    name = output.name or ""
    encoded: JsonObject = {
        "name": name if _NAME.fullmatch(name) else _DEFAULT_NAME,
        "schema": output.schema,
    }
    if output.description is not None:
        encoded["description"] = output.description
    if output.strict is not None:
        encoded["strict"] = output.strict
    return encoded
