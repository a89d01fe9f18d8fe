"""OpenAI's APIs that pass through whole: images, audio, moderations, compacted conversations; and
reranking, which OpenAI does not have itself but many compatible servers do, in the words of Cohere
and Jina."""

from __future__ import annotations

from forebay.protocol.canonical.events import StreamError, Usage
from forebay.protocol.dialects.base import Api
from forebay.protocol.dialects.openai._error_decoding import error_inside
from forebay.protocol.dialects.openai._names import (
    OPENAI,
    OPENAI_COMPACTION,
    OPENAI_IMAGE_EDITS,
    OPENAI_IMAGE_VARIATIONS,
    OPENAI_IMAGES,
    OPENAI_MODERATIONS,
    OPENAI_RERANK,
    OPENAI_SPEECH,
    OPENAI_TRANSCRIPTIONS,
    OPENAI_TRANSLATIONS,
)
from forebay.protocol.dialects.openai._usage import CHAT_WORDS, RESPONSES_WORDS, decode_usage
from forebay.protocol.dialects.relayed import RelayedApi
from forebay.protocol.jsontext import JsonObject


def _read_usage(answer: JsonObject) -> Usage | None:
    """``usage`` in either API's words; None where it counts something else than tokens (seconds
    of sound)."""
    usage = answer.get("usage")
    if not isinstance(usage, dict):
        return None
    words = RESPONSES_WORDS if "input_tokens" in usage else CHAT_WORDS
    return decode_usage(usage, words)


def _read_error(answer: JsonObject) -> StreamError | None:
    inside = error_inside(answer)
    return None if inside is None else StreamError(*inside)


def _relayed(
    api: Api, *paths: str, verb: str, needs_model: bool = True, answers_json: bool = True
) -> RelayedApi:
    return RelayedApi(
        api=api,
        dialect=OPENAI,
        paths=paths,
        verb=verb,
        needs_model=needs_model,
        answers_json=answers_json,
        read_usage=_read_usage,
        read_error=_read_error,
    )


RELAYED_BY_OPENAI = (
    _relayed(OPENAI_IMAGES, "/v1/images/generations", verb="makes images", needs_model=False),
    _relayed(OPENAI_IMAGE_EDITS, "/v1/images/edits", verb="edits images", needs_model=False),
    _relayed(
        OPENAI_IMAGE_VARIATIONS, "/v1/images/variations", verb="varies images", needs_model=False
    ),
    _relayed(OPENAI_SPEECH, "/v1/audio/speech", verb="speaks", answers_json=False),
    _relayed(
        OPENAI_TRANSCRIPTIONS, "/v1/audio/transcriptions", verb="hears speech", answers_json=False
    ),
    _relayed(
        OPENAI_TRANSLATIONS, "/v1/audio/translations", verb="translates speech", answers_json=False
    ),
    _relayed(OPENAI_MODERATIONS, "/v1/moderations", verb="moderates", needs_model=False),
    _relayed(OPENAI_COMPACTION, "/v1/responses/compact", verb="compacts conversations"),
    # Cohere's clients write v2, Jina's v1, and vLLM takes all three.
    _relayed(OPENAI_RERANK, "/v1/rerank", "/v2/rerank", "/rerank", verb="ranks documents"),
)
