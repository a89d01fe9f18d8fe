"""Answers as they went over the wire, held to the published documents whatever form they have."""

from __future__ import annotations

import json
from collections.abc import Iterator

from published_documents import misfits
from sdk_wire import Exchange

SSE = "text/event-stream"
LINES = "application/x-ndjson"


def check_exchange(dialect: str, exchange: Exchange, path: str) -> list[str]:
    """Hold every object of an answer to the document of ``dialect``; what it was held to.

    Args:
        path: of the request, as the document writes it.

    Raises:
        AssertionError: something does not fit.
    """
    held = []
    for operation, value in _objects(exchange, path):
        wrong = misfits(dialect, operation, value)
        assert not wrong, (operation, wrong, value)
        held.append(operation)
    assert held
    return held


def _objects(exchange: Exchange, path: str) -> Iterator[tuple[str, object]]:
    """Each with what it has to be."""
    media_type = exchange.headers["content-type"].partition(";")[0]
    operation = f"{exchange.method} {path} {media_type}"
    if exchange.status != 200:
        assert media_type == "application/json"
        yield "error", json.loads(exchange.body)
    elif media_type == SSE:
        for _, data in exchange.frames:
            if data != "[DONE]":
                value = json.loads(data)
                yield "error" if set(value) == {"error"} else operation, value
    elif media_type == LINES:
        for line in exchange.lines:
            value = json.loads(line)
            yield "error" if set(value) == {"error"} else operation, value
    else:
        yield operation, json.loads(exchange.body)
