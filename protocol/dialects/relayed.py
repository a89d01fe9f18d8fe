"""APIs that are never translated: their requests go to servers of the same API, as they came.

Pictures, sound and the like: what a request of them says is between its client and its server. The
gateway reads the model's name, and what the answer says that it used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from forebay.protocol.canonical.events import StreamError, Usage
from forebay.protocol.canonical.requests import Dialect
from forebay.protocol.dialects.base import Api
from forebay.protocol.jsontext import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayedApi:
    """One such API."""

    api: Api
    dialect: Dialect
    """Of its errors."""
    paths: tuple[str, ...]
    """Where clients post their requests."""
    verb: str
    """What a target does that serves it, in the third person."""
    needs_model: bool
    """Its own server refuses a request that names no model."""
    answers_json: bool
    """An answer that is no stream of events is always JSON."""
    read_usage: Callable[[JsonObject], Usage | None]
    """From a whole answer, or from one event of a stream."""
    read_error: Callable[[JsonObject], StreamError | None]
    """The error that a whole answer is, although its status was 200."""
