"""Reduces a published OpenAPI document to the facts of its responses.

Only what a validator needs is kept, of the responses of some operations and whatever these refer
to: types, names of fields, which of them are required, values and unions. All prose stays behind.
tests/openapi/README.md says from which documents and with which arguments those files were made.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

_REFERENCE = "#/components/schemas/"
_KEPT = frozenset({"type", "required", "enum", "const", "minimum", "maximum", "minItems"})
"""Keywords that are facts as they stand."""
_OF_SCHEMAS = frozenset({"anyOf", "oneOf", "allOf"})
_OF_A_SCHEMA = frozenset({"items", "additionalProperties"})


def facts_of(schema: Any) -> Any:  # noqa: ANN401 - any JSON
    """A schema with nothing but facts. ``nullable``, of older documents, becomes a type."""
    if not isinstance(schema, dict):
        return schema
    facts: dict[str, Any] = {}
    for name, value in schema.items():
        if name in _KEPT:
            facts[name] = value
        elif name in _OF_SCHEMAS:
            facts[name] = [facts_of(one) for one in value]
        elif name in _OF_A_SCHEMA:
            facts[name] = facts_of(value)
        elif name == "properties":
            facts[name] = {field: facts_of(one) for field, one in value.items()}
        elif name == "$ref":
            facts[name] = value.replace(_REFERENCE, "#/$defs/")
    if schema.get("nullable") is True:
        return {"anyOf": [facts, {"type": "null"}]}
    return facts


def references_in(facts: object) -> Iterator[str]:
    """The names of the schemas that these facts refer to."""
    if isinstance(facts, dict):
        for name, value in facts.items():
            if name == "$ref":
                yield value.rpartition("/")[2]
            else:
                yield from references_in(value)
    elif isinstance(facts, list):
        for value in facts:
            yield from references_in(value)


def responses_of(document: Mapping[str, Any], operations: list[str]) -> dict[str, Any]:
    """By ``METHOD PATH MEDIA_TYPE``: the schema of a response with status 200."""
    found = {}
    for operation in operations:
        method, path = operation.split()
        answer = document["paths"][path][method.lower()]["responses"]["200"]
        for media_type, content in answer["content"].items():
            found[f"{operation} {media_type}"] = facts_of(content["schema"])
    return found


def reduce(document: Mapping[str, Any], operations: list[str], also: list[str]) -> dict[str, Any]:
    """The responses of ``operations`` and the schemas ``also``, with all that they refer to."""
    responses = responses_of(document, operations)
    schemas = document["components"]["schemas"]
    definitions: dict[str, Any] = {}
    wanted = [*references_in(responses), *also]
    while wanted:
        name = wanted.pop()
        if name not in definitions:
            definitions[name] = facts_of(schemas[name])
            wanted += references_in(definitions[name])
    return {"responses": responses, "$defs": dict(sorted(definitions.items()))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("document", type=Path)
    parser.add_argument("--source", required=True, help="where the document was published")
    parser.add_argument("--operations", nargs="+", required=True, metavar="'METHOD PATH'")
    parser.add_argument("--also", nargs="*", default=[], metavar="SCHEMA")
    arguments = parser.parse_args()
    document = yaml.safe_load(arguments.document.read_bytes())
    info = document["info"]
    about = {
        "title": info["title"],
        "version": info["version"],
        "licence": info["license"]["name"],
        "source": arguments.source,
    }
    reduced = reduce(document, arguments.operations, arguments.also)
    json.dump({"document": about, **reduced}, sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
