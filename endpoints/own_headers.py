"""The headers that every answer has, whatever it says."""

from __future__ import annotations

from forebay.protocol.canonical.requests import Dialect
from forebay.protocol.dialects.registry import SPEECH


def own_headers(dialect: Dialect, request_id: str, seconds: float) -> dict[str, str]:
    """The request's id, by the names under which OpenAI's and Anthropic's clients look for it, and
    what else servers of the dialect always say.

    Args:
        seconds: that it took so far.
    """
    return {
        "x-request-id": request_id,
        "request-id": request_id,
        **SPEECH[dialect].answer_headers(seconds),
    }
