"""Fields that requests for a chat and for a completion say alike, in both directions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from forebay.protocol.canonical.errors import bad_request
from forebay.protocol.canonical.requests import Sampling
from forebay.protocol.dialects.base import UpstreamTraits
from forebay.protocol.dialects.fields import (
    as_string,
    optional_bool,
    optional_int,
    optional_list,
    optional_number,
    optional_object,
    rest_of,
    wrong_type,
)
from forebay.protocol.jsontext import JsonObject

_OPENAI_LIMIT_FIELD = "max_completion_tokens"
_MOST_CHOICES = 128
_MOST_STOPS_AT_OPENAI = 4

TUNING_FIELDS = frozenset(
    {
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "seed",
        "frequency_penalty",
        "presence_penalty",
        "repetition_penalty",
        "logit_bias",
    }
)
"""What :func:`decode_tuning` reads, but for llama.cpp's ``repeat_penalty``, which stays raw."""

COMPATIBLE_ONLY = frozenset(
    {
        "top_k",
        "min_p",
        "repetition_penalty",
        "repeat_penalty",
        "typical_p",
        "mirostat",
        "mirostat_eta",
        "mirostat_tau",
        "chat_template_kwargs",
        "structured_outputs",
        "guided_json",
        "guided_regex",
        "guided_choice",
        "guided_grammar",
        "ignore_eos",
        "stop_token_ids",
        "min_tokens",
        "length_penalty",
        "best_of",
        "include_reasoning",
        "reasoning",
        "thinking",
        "enable_thinking",
        "provider",
        "models",
        "transforms",
        "plugins",
        "cache_prompt",
        "id_slot",
        "keep_alive",
        "options",
        "skip_special_tokens",
        "include_stop_str_in_output",
        "return_token_ids",
    }
)
"""Fields of compatible servers that OpenAI answers with a 400."""


def is_openai(traits: UpstreamTraits) -> bool:
    """Whether the server is OpenAI itself, which refuses fields that it does not know."""
    return traits.max_output_field == _OPENAI_LIMIT_FIELD


def decode_tuning(body: JsonObject) -> Sampling:
    repeat_penalty = optional_number(body, "repetition_penalty")
    if repeat_penalty is None:
        # llama.cpp's own name; it stays raw as well
        repeat_penalty = optional_number(body, "repeat_penalty")
    return Sampling(
        temperature=optional_number(body, "temperature"),
        top_p=optional_number(body, "top_p"),
        top_k=optional_int(body, "top_k"),
        min_p=optional_number(body, "min_p"),
        seed=optional_int(body, "seed"),
        frequency_penalty=optional_number(body, "frequency_penalty"),
        presence_penalty=optional_number(body, "presence_penalty"),
        repeat_penalty=repeat_penalty,
        logit_bias=_decode_logit_bias(body),
    )


def refused_tuning(sampling: Sampling) -> list[str]:
    """What is said of sampling that a model without a choice of its own refuses: all that differs
    from its defaults."""
    said = {
        "temperature": sampling.temperature not in (None, 1),
        "top_p": sampling.top_p not in (None, 1),
        "frequency_penalty": sampling.frequency_penalty not in (None, 0),
        "presence_penalty": sampling.presence_penalty not in (None, 0),
        "logit_bias": bool(sampling.logit_bias),
    }
    return [name for name, differs in said.items() if differs]


def encode_tuning(
    sampling: Sampling, *, raw: JsonObject, to_openai: bool, takes_sampling: bool = True
) -> tuple[JsonObject, list[str]]:
    """The fields, and the names of those that the model refuses.

    Args:
        raw: What goes along as it came: it is not said twice.
        to_openai: The server is OpenAI itself.
        takes_sampling: The model has a choice of how it samples.
    """
    refused: list[str] = []
    if not takes_sampling:
        refused = refused_tuning(sampling)
        sampling = replace(
            sampling,
            temperature=None,
            top_p=None,
            frequency_penalty=None,
            presence_penalty=None,
            logit_bias=None,
        )
    said: JsonObject = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
        "frequency_penalty": sampling.frequency_penalty,
        "presence_penalty": sampling.presence_penalty,
    }
    fields: JsonObject = {name: value for name, value in said.items() if value is not None}
    if sampling.logit_bias is not None:
        fields["logit_bias"] = dict(sampling.logit_bias)
    for canonical, name, number in (
        ("top_k", "top_k", sampling.top_k),
        ("min_p", "min_p", sampling.min_p),
        ("repeat_penalty", "repetition_penalty", sampling.repeat_penalty),
    ):
        if number is None or raw.get(canonical) == number:
            continue  # not said, or said raw
        if not to_openai:
            fields[name] = number
    return fields, refused


def decode_stop(body: JsonObject) -> tuple[str, ...]:
    value = body.get("stop")
    if isinstance(value, str):
        return (value,)
    if value is not None and not isinstance(value, list):
        raise wrong_type("stop", "a string or an array of strings", value)
    sequences = optional_list(body, "stop") or ()
    return tuple(as_string(stop, f"stop[{at}]") for at, stop in enumerate(sequences))


def stops_fit_openai(stop: tuple[str, ...]) -> bool:
    return len(stop) <= _MOST_STOPS_AT_OPENAI


def check_stops(stop: tuple[str, ...], *, to_openai: bool) -> None:
    """Raises:
    ApiFailure: BAD_REQUEST, more stop sequences than OpenAI takes are meant for it.
    """
    if to_openai and not stops_fit_openai(stop):
        raise bad_request(
            f"this model's provider takes at most {_MOST_STOPS_AT_OPENAI} stop sequences, got "
            f"{len(stop)}",
            param="stop",
            code="array_above_max_length",
        )


def decode_choices(body: JsonObject) -> int:
    choices = optional_int(body, "n")
    if choices is None:
        return 1
    if not 1 <= choices <= _MOST_CHOICES:
        raise bad_request(
            f"'n' must be between 1 and {_MOST_CHOICES}, got {choices}",
            param="n",
            code="invalid_value",
        )
    return choices


def decode_stream_options(body: JsonObject, *, stream: bool) -> tuple[bool, JsonObject]:
    """Whether the client wants the usage in the stream, and the other options."""
    options = optional_object(body, "stream_options")
    if options is None:
        return False, {}
    if not stream:
        raise bad_request(
            "'stream_options' is only allowed with 'stream': true",
            param="stream_options",
            code="invalid_value",
        )
    usage = optional_bool(options, "include_usage", "stream_options.") or False
    return usage, rest_of(options, ("include_usage",))


def _decode_logit_bias(body: JsonObject) -> Mapping[str, float] | None:
    value = optional_object(body, "logit_bias")
    if value is None:
        return None
    bias: dict[str, float] = {}
    for token in value:
        number = optional_number(value, token, "logit_bias.")
        if number is None:
            raise wrong_type(f"logit_bias.{token}", "a number", None)
        bias[token] = number
    return bias
