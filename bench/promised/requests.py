"""Chat requests of a given size."""

from __future__ import annotations

import json
from typing import Final

from harness.http import request_bytes
from harness.scene import (
    MODEL,
    client_key,
)

from forebay.protocol.jsontext import JsonObject

WORD: Final = "tide "
"""Bytes of text that the sandbox counts as a token: four."""
_TOKEN_BYTES: Final = 4


def sized_request(tokens: int, *, client: int = 0, stream: bool = False) -> bytes:
    """A chat request of about so many tokens, as the sandbox counts."""
    text = WORD * (tokens * _TOKEN_BYTES // len(WORD))
    body: JsonObject = {"model": MODEL, "messages": [{"role": "user", "content": text}]}
    if stream:
        body["stream"] = True
    return request_bytes(
        "/v1/chat/completions",
        json.dumps(body).encode(),
        headers={"authorization": f"Bearer {client_key(client)}"},
    )
