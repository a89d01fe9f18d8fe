"""Which models a server has in memory, and how long they stay there: what ``GET /api/ps`` tells,
and what a request asks for by ``keep_alive``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf
from typing import Final

from forebay.protocol.canonical.errors import ApiFailure
from forebay.protocol.dialects.ollama._keep_alive import keep_alive_seconds
from forebay.protocol.dialects.ollama._model_arrays import read_models
from forebay.protocol.dialects.ollama._reply_clock import unix_seconds
from forebay.protocol.jsontext import InvalidJson, JsonObject, JsonValue, loads_object

_USUAL_STAY: Final = 300.0
"""Seconds after an answer, where neither the request nor the server's settings say otherwise."""
_LEAST_STAY: Final = 1.0
_FIELD: Final = b'"keep_alive"'


def decode_running(body: bytes, now: float) -> Mapping[str, float]:
    """For how many seconds from ``now`` (Unix seconds) each model in an answer of ``GET /api/ps``
    stays loaded, if nobody asks for it.

    Raises:
        ApiFailure: UPSTREAM_ERROR, the body is no such answer.
    """
    models = read_models(body, "does not tell which models are loaded")
    return dict(_running(models, now))


def stay_after(body: bytes) -> float:
    """For how many seconds the model stays loaded that has answered this request; 0: it goes."""
    if _FIELD not in body:
        return _USUAL_STAY
    try:
        seconds = keep_alive_seconds(loads_object(body).get("keep_alive"))
    except (InvalidJson, ApiFailure, RecursionError):
        return _USUAL_STAY
    if seconds is None:
        return _USUAL_STAY
    return seconds if seconds >= 0 else inf


def _running(models: list[JsonObject], now: float) -> Iterator[tuple[str, float]]:
    for model in models:
        name = model.get("model") or model.get("name")
        if isinstance(name, str):
            yield name, _stay(model.get("expires_at"), now)


def _stay(expires_at: JsonValue, now: float) -> float:
    """What can't be read counts as the usual time. Clocks of servers differ from ours by a little:
    a model that is told of is loaded."""
    moment = unix_seconds(expires_at) if isinstance(expires_at, str) else 0
    return max(_LEAST_STAY, moment - now) if moment else _USUAL_STAY
