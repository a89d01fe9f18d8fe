"""What the body of a refusal tells of limits beside the error that every dialect reads.

Codes and types: OpenAI's ``{"error": {"type": "tokens", "code": "rate_limit_exceeded"}}``,
Together's and TGI's ``error_type``, Anthropic's ``details.error_code``. OpenRouter repeats its
headers in ``error.metadata.headers`` and says when to come back in ``error.availability``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from forebay.protocol.jsontext import InvalidJson, JsonObject, JsonValue, loads_object
from forebay.protocol.providers.limits.header_values import amount

_LARGEST = 64 * 1024
"""Bytes; errors are small."""
_MOST_HEADERS = 32
_CODES = ("code", "type", "error_type", "error_code", "limit_source")


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldInBody:
    """Facts in the body of an error; empty where there are none."""

    codes: frozenset[str] = frozenset()
    """Codes and types, in lower case."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers that the body repeats; names in lower case."""
    retry_after: float | None = None
    """Seconds."""
    is_moderated: bool = False
    """A moderator gives the reasons why it refused the prompt (OpenRouter)."""


def told_in_body(body: bytes) -> ToldInBody:
    if len(body) > _LARGEST:
        return ToldInBody()
    try:
        outer = loads_object(body)
    except InvalidJson:
        return ToldInBody()
    error = _object(outer, "error")
    metadata = _object(error, "metadata")
    objects = (outer, error, metadata, _object(error, "details"))
    return ToldInBody(
        codes=frozenset(
            code.lower()
            for each in objects
            for name in _CODES
            if isinstance(code := each.get(name), str)
        ),
        headers=_headers(metadata.get("headers")),
        is_moderated=bool(metadata.get("reasons")),
        retry_after=_seconds(_object(error, "availability").get("retry_after")),
    )


def with_told_headers(headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
    """The headers of a refusal, and those that its body repeats: what limits are read from."""
    repeated = told_in_body(body).headers
    return {**repeated, **headers} if repeated else headers


def _object(outer: JsonObject, name: str) -> JsonObject:
    inner = outer.get(name)
    return inner if isinstance(inner, dict) else {}


def _headers(value: JsonValue) -> Mapping[str, str]:
    if not isinstance(value, dict) or len(value) > _MOST_HEADERS:
        return {}
    return {
        name.lower(): str(told)
        for name, told in value.items()
        if isinstance(told, str | int | float) and not isinstance(told, bool)
    }


def _seconds(value: JsonValue) -> float | None:
    return amount(str(value)) if isinstance(value, str | int | float) else None
