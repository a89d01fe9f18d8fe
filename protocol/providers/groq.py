"""Groq: it refuses fields that it does not know, and what the model thought before."""

from __future__ import annotations

from dataclasses import replace

from forebay.protocol.canonical.listed_models import ListedModel
from forebay.protocol.dialects.base import UpstreamTraits
from forebay.protocol.dialects.listings import read_entry
from forebay.protocol.dialects.openai import (
    OPENAI,
    OPENAI_CHAT,
    OPENAI_SPEECH,
    OPENAI_TRANSCRIPTIONS,
    OPENAI_TRANSLATIONS,
)
from forebay.protocol.jsontext import JsonObject
from forebay.protocol.providers._media_paths import MEDIA_PATHS
from forebay.protocol.providers.base import (
    CallFailure,
    FailedAnswer,
    FailureKind,
    KnownAs,
    Notes,
    Probe,
    ProviderProfile,
)
from forebay.protocol.providers.classification import classify_by_status
from forebay.protocol.providers.limits.openai_headers import read_groq

_KNOWN_FIELDS = frozenset(
    {
        "citation_options",
        "compound_custom",
        "disable_tool_validation",
        "documents",
        "exclude_domains",
        "frequency_penalty",
        "include_domains",
        "include_reasoning",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "metadata",
        "model",
        "n",
        "parallel_tool_calls",
        "presence_penalty",
        "reasoning_effort",
        "reasoning_format",
        "response_format",
        "search_settings",
        "seed",
        "service_tier",
        "stop",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_p",
        "user",
    }
)
_NO_FLEX_CAPACITY = 498


def classify(answer: FailedAnswer) -> CallFailure:
    """By status, where 498 is a lack of room for calls of its flexible tier."""
    failure = classify_by_status(answer)
    if answer.status == _NO_FLEX_CAPACITY:
        return replace(failure, kind=FailureKind.OVERLOADED)
    return failure


def _read_entry(name: str, entry: JsonObject) -> ListedModel | None:
    """Models that are not active can't be asked."""
    return None if entry.get("active") is False else read_entry(name, entry)


PROFILE = ProviderProfile(
    kind="groq",
    known_as=KnownAs(prices="groq", capabilities="groq"),
    notes=Notes(
        title="Groq",
        limits=(
            "the headers `x-ratelimit-*` of every answer: requests per day and tokens per minute. "
            "What was read from its prompt cache does not count."
        ),
        lossy=(
            "Fields that it does not know are dropped, and what the model thought before: it "
            "would refuse them.",
            "There are no embeddings.",
            "Requests for Responses are put as chats.",
        ),
    ),
    default_base_url="https://api.groq.com/openai/v1",
    # Its Responses API refuses so many fields that translating to chats loses less.
    paths={
        OPENAI_CHAT: "/chat/completions",
        OPENAI_SPEECH: MEDIA_PATHS[OPENAI_SPEECH],
        OPENAI_TRANSCRIPTIONS: MEDIA_PATHS[OPENAI_TRANSCRIPTIONS],
        OPENAI_TRANSLATIONS: MEDIA_PATHS[OPENAI_TRANSLATIONS],
    },
    listing_path="/models",
    listing_dialect=OPENAI,
    classify=classify,
    read_limits=read_groq,
    read_entry=_read_entry,
    probe=Probe(path="/models"),
    traits=UpstreamTraits(known_fields=_KNOWN_FIELDS, takes_past_reasoning=False),
    charges_cache_reads=False,
)
