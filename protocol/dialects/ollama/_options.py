"""``options``: what other dialects say in fields of their own, and what only a runner knows.

Options that no canonical field holds, and values that ask for the default (an unlimited
``num_predict``, a random ``seed``), stay raw: they go back to an Ollama server and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass

from forebay.protocol.canonical.errors import bad_request
from forebay.protocol.canonical.requests import ChatRequest, Sampling
from forebay.protocol.dialects.fields import (
    as_string,
    optional_bool,
    optional_int,
    optional_number,
    optional_object,
    rest_of,
    wrong_type,
)
from forebay.protocol.dialects.ollama._names import OLLAMA
from forebay.protocol.jsontext import JsonObject, JsonValue

_CANONICAL_OPTIONS = frozenset(
    {
        "num_predict",
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "seed",
        "stop",
        "repeat_penalty",
        "presence_penalty",
        "frequency_penalty",
    }
)
_PATH = "options."
_MOST_TOP_LOGPROBS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedOptions:
    max_output_tokens: int | None
    stop: tuple[str, ...]
    sampling: Sampling
    kept: JsonObject
    """For an Ollama server only."""


def decode_options(body: JsonObject) -> DecodedOptions:
    """Read ``options``, ``logprobs`` and ``top_logprobs`` of a request's body."""
    options = optional_object(body, "options") or {}
    # Ollama skips an option that is null.
    kept: JsonObject = {
        name: value
        for name, value in rest_of(options, _CANONICAL_OPTIONS).items()
        if value is not None
    }
    limit = _whole_number(options, "num_predict")
    if limit is not None and limit <= 0:
        kept["num_predict"] = limit
        limit = None
    seed = _whole_number(options, "seed")
    if seed is not None and seed < 0:
        kept["seed"] = seed
        seed = None
    return DecodedOptions(
        max_output_tokens=limit,
        stop=_stop(options.get("stop")),
        sampling=Sampling(
            temperature=optional_number(options, "temperature", _PATH),
            top_p=optional_number(options, "top_p", _PATH),
            top_k=_whole_number(options, "top_k"),
            min_p=optional_number(options, "min_p", _PATH),
            seed=seed,
            frequency_penalty=optional_number(options, "frequency_penalty", _PATH),
            presence_penalty=optional_number(options, "presence_penalty", _PATH),
            repeat_penalty=optional_number(options, "repeat_penalty", _PATH),
            logprobs=optional_bool(body, "logprobs"),
            top_logprobs=_top_logprobs(body),
        ),
        kept=kept,
    )


def encode_options(request: ChatRequest) -> JsonObject:
    """The ``options`` object; empty where there is nothing to say."""
    kept = request.extra(OLLAMA, "options")
    options: JsonObject = dict(kept) if isinstance(kept, dict) else {}
    sampling = request.sampling
    limit = request.max_output_tokens
    said: JsonObject = {
        # Ollama takes 0 for no limit.
        "num_predict": limit if limit is None else max(limit, 1),
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "seed": sampling.seed,
        "stop": list(request.stop) or None,
        "repeat_penalty": sampling.repeat_penalty,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
    }
    options.update((name, value) for name, value in said.items() if value is not None)
    return options


def _whole_number(options: JsonObject, name: str) -> int | None:
    """Ollama cuts off the fraction of an integer option."""
    value = options.get(name)
    if isinstance(value, float):
        return int(value)
    return optional_int(options, name, _PATH)


def _stop(value: JsonValue) -> tuple[str, ...]:
    match value:
        case None:
            return ()
        case str():
            return (value,)
        case list():
            return tuple(as_string(text, f"options.stop[{at}]") for at, text in enumerate(value))
        case _:
            raise wrong_type("options.stop", "an array of strings", value)


def _top_logprobs(body: JsonObject) -> int | None:
    count = optional_int(body, "top_logprobs")
    if count is not None and not 0 <= count <= _MOST_TOP_LOGPROBS:
        raise bad_request(
            f"'top_logprobs' must be between 0 and {_MOST_TOP_LOGPROBS}, got {count}",
            param="top_logprobs",
            code="invalid_value",
        )
    return count
