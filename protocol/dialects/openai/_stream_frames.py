"""The frames of a stream that chats and completions write alike."""

from __future__ import annotations

from forebay.protocol.jsontext import JsonObject, dumps

DONE = b"data: [DONE]\n\n"
WHILE_QUEUED = b": queued\n\n"
"""Keeps a client waiting that has heard nothing yet."""
WHILE_SILENT = b": waiting\n\n"
"""Keeps a client waiting inside of an answer."""


def framed(value: JsonObject) -> bytes:
    return b"data: %b\n\n" % dumps(value)
