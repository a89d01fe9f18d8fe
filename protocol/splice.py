"""Replacing the model's name in the bytes of a request, and nothing else.

A request for a provider of the client's own dialect passes through byte for byte; only the name
that the client knows becomes the name that the provider knows. Every ``model`` member of the
outermost object is replaced: of duplicates a JSON reader takes the last (RFC 8259, section 4),
and a provider must not see another name than the gateway did.
"""

from __future__ import annotations

import re

from forebay.protocol.jsontext import InvalidJson, dumps, loads

_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]', re.DOTALL)
_OPEN = frozenset((b"{", b"["))
_CLOSE = frozenset((b"}", b"]"))


def replace_model(body: bytes, model: str) -> bytes:
    """``body``, a valid JSON object, with the string value of its ``model`` members replaced."""
    pieces: list[bytes] = []
    copied = 0
    for start, end in _model_values(body):
        pieces += (body[copied:start], dumps(model))
        copied = end
    pieces.append(body[copied:])
    return b"".join(pieces)


def _model_values(body: bytes) -> list[tuple[int, int]]:
    """Where the values stand: one pass over the structure, strings skipped whole."""
    spans: list[tuple[int, int]] = []
    depth = 0
    key: bytes | None = None
    is_value = False
    for match in _TOKEN.finditer(body):
        token = match[0]
        if token in _OPEN:
            depth += 1
            key, is_value = None, False
        elif token in _CLOSE:
            depth -= 1
            key, is_value = None, False
        elif depth != 1:
            continue
        elif token == b":":
            is_value = True
        elif token == b",":
            key, is_value = None, False
        elif is_value:
            if key is not None and _is_model(key):
                spans.append(match.span())
            key, is_value = None, False
        else:
            key = token
    return spans


def _is_model(key: bytes) -> bool:
    if b"\\" not in key:
        return key == b'"model"'
    try:
        return loads(key) == "model"
    except InvalidJson:
        return False
