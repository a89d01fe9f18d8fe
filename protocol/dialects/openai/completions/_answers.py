"""Whole answers, in both directions.

Upstreams' answers differ from those of a chat only in where their text stands, so the chat's own
reader reads them, with all that it bears of real servers.
"""

from __future__ import annotations

from collections.abc import Sequence

from forebay.protocol.canonical.assembly import summed_extras
from forebay.protocol.canonical.events import ChatResponse, FinishReason, summed_usage
from forebay.protocol.canonical.requests import Extras, Refusal, Text, Thinking
from forebay.protocol.dialects.base import ReplyContext
from forebay.protocol.dialects.fields import rest_of
from forebay.protocol.dialects.openai._names import COMPLETIONS, OPENAI
from forebay.protocol.dialects.openai._usage import (
    encode_usage,
    estimated_usage,
    with_rest_of_usage,
)
from forebay.protocol.dialects.openai.chat import decode_answer
from forebay.protocol.jsontext import JsonObject, JsonValue

_ID_PREFIX = "cmpl-"
_CUT_SHORT = frozenset({FinishReason.LENGTH, FinishReason.CONTEXT_FULL})


def said_in_chat(choice: JsonObject) -> JsonValue:
    """What a choice says, as the message or the delta of a chat; None where it says nothing."""
    text = choice.get("text")
    return {"content": text} if isinstance(text, str) else None


def decode_completion(body: JsonObject) -> ChatResponse:
    """The first choice of an answer; what else it said stays raw in ``extras``.

    Raises:
        ApiFailure: the error that the body carries; or UPSTREAM_ERROR, it is no completion.
    """
    choices = body.get("choices")
    said: list[JsonValue] = [
        {**rest_of(choice, ("text",)), "message": said_in_chat(choice)}
        for choice in (choices if isinstance(choices, list) else ())
        if isinstance(choice, dict)
    ]
    response = decode_answer({**body, "choices": said})
    raw = response.extras.get(OPENAI)
    extras: Extras = {} if raw is None else {COMPLETIONS: raw}
    return ChatResponse(
        id=response.id,
        model=response.model,
        created=response.created,
        parts=response.parts,
        finish=response.finish,
        stop_sequence=response.stop_sequence,
        usage=response.usage,
        extras=extras,
    )


def encode_completion(responses: Sequence[ChatResponse], context: ReplyContext) -> JsonObject:
    """One answer to a client that asked for ``responses`` in this order (see ``split_completion``).

    Fields that no canonical field holds (``system_fingerprint``) go along where they are of the
    whole answer, which is of one response.
    """
    usage = summed_usage(response.usage for response in responses) or estimated_usage(
        input_tokens=context.input_tokens_estimate,
        output_bytes=sum(_written_bytes(response) for response in responses),
    )
    ours: JsonObject = {
        "id": answer_id(responses[0].id, context),
        "object": "text_completion",
        "created": responses[0].created or context.created,
        "model": context.request.model,
        "choices": [_encode_choice(response, at) for at, response in enumerate(responses)],
    }
    raw = responses[0].extras.get(COMPLETIONS, {}) if len(responses) == 1 else {}
    ours["usage"] = with_rest_of_usage(encode_usage(usage), raw.get("usage"))
    return {**ours, **{name: value for name, value in raw.items() if name not in ours}}


def answer_id(upstream_id: str, context: ReplyContext) -> str:
    """The upstream's id of the answer where it looks like OpenAI's, else our own."""
    if upstream_id.startswith(_ID_PREFIX) and len(upstream_id) > len(_ID_PREFIX):
        return upstream_id
    return _ID_PREFIX + context.response_id


def choice_of(
    text: str, index: int, finish_reason: str | None = None, *, stop_sequence: str | None = None
) -> JsonObject:
    """A choice of an answer, or what a chunk adds to it."""
    choice: JsonObject = {
        "text": text,
        "index": index,
        "logprobs": None,
        "finish_reason": finish_reason,
    }
    if stop_sequence is not None:
        choice["stop_reason"] = stop_sequence  # as vLLM names it
    return choice


def encode_finish(reason: FinishReason) -> str:
    """The word of this API, which knows no calls."""
    if reason in _CUT_SHORT:
        return "length"
    return "content_filter" if reason is FinishReason.REFUSAL else "stop"


def bytes_of(text: str) -> int:
    """How many the text has, for an estimate of its tokens."""
    return len(text.encode("utf-8", "surrogatepass"))


def _encode_choice(response: ChatResponse, index: int) -> JsonObject:
    choice = choice_of(
        _text_of(response),
        index,
        encode_finish(response.finish),
        stop_sequence=response.stop_sequence,
    )
    # Of an answer that came as a stream its text holds what came with it.
    pieces = [part.extras for part in response.parts if isinstance(part, Text | Refusal)]
    choices = response.extras.get(COMPLETIONS, {}).get("choices")
    said = choices if isinstance(choices, list) else []
    pieces += ({COMPLETIONS: raw} for raw in said if isinstance(raw, dict))
    raw_choice = summed_extras(pieces).get(COMPLETIONS)
    return with_raw_choice(choice, [raw_choice] if raw_choice else None)


def with_raw_choice(choice: JsonObject, choices: JsonValue) -> JsonObject:
    """``choice`` with what is raw of it in the ``extras`` of a whole answer."""
    raw = choices[0] if isinstance(choices, list) and choices else None
    return {**raw, **choice, "logprobs": raw.get("logprobs")} if isinstance(raw, dict) else choice


def _text_of(response: ChatResponse) -> str:
    """Without thoughts, for which this API has no place."""
    return "".join(part.text for part in response.parts if isinstance(part, Text | Refusal))


def _written_bytes(response: ChatResponse) -> int:
    return sum(
        bytes_of(part.text)
        for part in response.parts
        if isinstance(part, Text | Refusal | Thinking)
    )
