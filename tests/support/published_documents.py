"""Holds JSON to the OpenAPI documents that OpenAI and Ollama publish.

The documents lie in tests/openapi, reduced to facts; its README says where they are from.
:data:`AMENDMENTS` are the places where real servers say what their own document does not allow.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

_FOLDER = Path(__file__).parent.parent / "openapi"

Place = tuple[str | int, ...]
"""Keys and indexes from the top of a reduced document down to a schema."""


@dataclass(frozen=True)
class Amendment:
    """Something that a document forbids and its own server says."""

    dialect: str
    place: Place
    allowed: object
    """A value that the document's schema at ``place`` refuses."""
    schema: dict[str, Any]
    """What is allowed there besides."""
    why: str
    only_for: str | None = None
    """The operation that it is limited to."""


_NULL = {"type": "null"}
_UNSET = "the server says null where the client set nothing, as in the document's own examples"
_PIECES = "POST /completions text/event-stream"

_FAILED = (
    "the server fails a stream with it, and agents look for it there (to compact, to give up);"
    " the document lists the codes of this event only in part"
)

AMENDMENTS = (
    *(
        Amendment("openai", ("$defs", "ResponseErrorCode"), code, {"const": code}, _FAILED)
        for code in ("context_length_exceeded", "insufficient_quota")
    ),
    *(
        Amendment("openai", ("$defs", where, "properties", field), None, _NULL, _UNSET)
        for where, field in (
            ("ModelResponseProperties", "user"),
            ("ModelResponseProperties", "safety_identifier"),
            ("ModelResponseProperties", "prompt_cache_key"),
        )
    ),
    Amendment(
        "openai",
        ("$defs", "Response", "allOf", 2, "properties", "usage"),
        None,
        _NULL,
        "nothing is counted yet in the events of a stream before its end, as in its examples",
    ),
    Amendment(
        "openai",
        (
            *("$defs", "CreateCompletionResponse", "properties", "choices", "items"),
            *("properties", "finish_reason"),
        ),
        None,
        _NULL,
        "the document has one shape for whole and streamed completions; in its example of a stream"
        " the reason is null up to the last piece, as it must be",
        only_for=_PIECES,
    ),
    Amendment(
        "openai",
        ("$defs", "CreateCompletionResponse", "properties", "usage"),
        None,
        _NULL,
        "with include_usage all pieces but the last say null, as the document has it in words",
        only_for=_PIECES,
    ),
)

NOT_LISTED = {
    ("openai", _PIECES): "CreateCompletionResponse",
}
"""Responses that a document describes, but does not list at their path: the schema's name."""


@cache
def document(dialect: str) -> dict[str, Any]:
    """The reduced document of ``openai`` or ``ollama``, as it was published."""
    read: dict[str, Any] = json.loads((_FOLDER / f"{dialect}.json").read_bytes())
    return read


def schema_at(read: dict[str, Any], place: Place) -> dict[str, Any]:
    """The schema at a place of a document."""
    found: Any = read
    for key in place:
        found = found[key]
    assert isinstance(found, dict)
    return found


def schema_of(dialect: str, operation: str) -> dict[str, Any]:
    """The published schema of a response, with all that it refers to.

    Args:
        operation: ``METHOD PATH MEDIA_TYPE`` as the document has it, or ``error``.

    Raises:
        KeyError: the document has no such operation.
    """
    read = document(dialect)
    if operation == "error":
        top = {"$ref": "#/$defs/ErrorResponse"}
    elif (dialect, operation) in NOT_LISTED:
        top = {"$ref": f"#/$defs/{NOT_LISTED[dialect, operation]}"}
    else:
        top = read["responses"][operation]
    return {**top, "$defs": read["$defs"]}


@cache
def _validator(dialect: str, operation: str) -> Draft202012Validator:
    amended = copy.deepcopy(schema_of(dialect, operation))
    for amendment in AMENDMENTS:
        if amendment.dialect == dialect and amendment.only_for in (None, operation):
            schema = schema_at(amended, amendment.place)
            published = dict(schema)
            schema.clear()
            schema["anyOf"] = [published, amendment.schema]
    return Draft202012Validator(amended)


def misfits(dialect: str, operation: str, value: object) -> list[str]:
    """What of ``value`` the document does not allow; of a union, what the alternative of the same
    ``type`` does not. Empty: it fits.

    Raises:
        KeyError: as :func:`schema_of`.
    """
    return list(_misfits(dialect, operation, json.dumps(value)))


@cache
def _misfits(dialect: str, operation: str, text: str) -> tuple[str, ...]:
    """Of many streams the same frames are asked about again and again."""
    errors = _validator(dialect, operation).iter_errors(json.loads(text))
    found = [f"{_path(one)}: {one.message[:300]}" for error in errors for one in _leaves(error)]
    return tuple(found)


def _leaves(error: ValidationError) -> Iterator[ValidationError]:
    """The errors that a reader can act on."""
    if not error.context:
        yield error
        return
    alternatives: dict[object, list[ValidationError]] = {}
    for one in error.context:
        alternatives.setdefault(one.schema_path[0], []).append(one)
    best = min(alternatives.values(), key=_distance)
    for one in best:
        yield from _leaves(one)


_TAGS = (["type"], ["object"], ["role"])
"""Paths of what says which alternative a value is."""


def _distance(errors: Sequence[ValidationError]) -> tuple[bool, int]:
    """How far off an alternative is: another type is farther than any number of faults."""
    other = any(
        list(one.path) in _TAGS or (one.validator == "type" and not one.path) for one in errors
    )
    return other, len(errors)


def _path(error: ValidationError) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    return "".join(parts) or "."
