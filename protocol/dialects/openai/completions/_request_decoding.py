"""A client's request to the canonical form."""

from __future__ import annotations

from forebay.protocol.canonical.errors import bad_request
from forebay.protocol.canonical.requests import ChatRequest, Completion, user_turn
from forebay.protocol.dialects.fields import (
    optional_bool,
    optional_int,
    optional_string,
    required_string,
    rest_of,
)
from forebay.protocol.dialects.openai._generation_fields import (
    TUNING_FIELDS,
    decode_choices,
    decode_stop,
    decode_stream_options,
    decode_tuning,
)
from forebay.protocol.dialects.openai._names import COMPLETIONS
from forebay.protocol.dialects.openai._texts_or_tokens import decode_texts
from forebay.protocol.jsontext import JsonObject

_UNDERSTOOD = TUNING_FIELDS | {
    "model",
    "prompt",
    "suffix",
    "max_tokens",
    "n",
    "best_of",
    "logprobs",
    "echo",
    "stop",
    "user",
    "stream",
    "stream_options",
}
_SAID_TWICE = frozenset({"repeat_penalty"})


def decode_request(body: JsonObject) -> ChatRequest:
    """Raises:
    ApiFailure: BAD_REQUEST that names the field, in OpenAI's notation.
    """
    choices = decode_choices(body)
    stream = optional_bool(body, "stream") or False
    stream_usage, stream_options = decode_stream_options(body, stream=stream)
    extras = rest_of(body, _UNDERSTOOD)
    if stream_options:
        extras["stream_options"] = stream_options
    model = required_string(body, "model")
    completion = Completion(
        # What follows on nothing is a document of its own.
        prompts=decode_texts(body, "prompt", takes_empty_text=True),
        suffix=optional_string(body, "suffix") or None,
        echo=optional_bool(body, "echo") or False,
        best_of=_decode_best_of(body, choices),
        logprobs=_count(body, "logprobs"),
    )
    return ChatRequest(
        model=model,
        turns=tuple(user_turn(text) for text in completion.prompts if isinstance(text, str)),
        completion=completion,
        # Zero asks for the prompt's own probabilities.
        max_output_tokens=_count(body, "max_tokens"),
        sampling=decode_tuning(body),
        stop=decode_stop(body),
        choices=choices,
        user_id=optional_string(body, "user"),
        stream=stream,
        stream_usage=stream_usage,
        extras={COMPLETIONS: extras} if extras else {},
        said_twice=_SAID_TWICE & extras.keys(),
    )


def _decode_best_of(body: JsonObject, choices: int) -> int | None:
    best_of = optional_int(body, "best_of")
    if best_of is not None and best_of < choices:
        raise bad_request(
            f"'best_of' must not be less than 'n' ({choices}), got {best_of}: the answers are "
            "chosen from among so many",
            param="best_of",
            code="invalid_value",
        )
    return best_of


def _count(body: JsonObject, name: str) -> int | None:
    count = optional_int(body, name)
    if count is not None and count < 0:
        raise bad_request(
            f"'{name}' must be at least 0, got {count}", param=name, code="integer_below_min_value"
        )
    return count
