"""Whose request it is, as OpenAI bears it."""

from __future__ import annotations

import hashlib

_LONGEST_USER_ID = 64


def bounded_user_id(user_id: str) -> str:
    """For ``safety_identifier``, which OpenAI refuses when it is longer."""
    if len(user_id) <= _LONGEST_USER_ID:
        return user_id
    return hashlib.sha256(user_id.encode("utf-8", "surrogatepass")).hexdigest()
