"""xAI: Grok models, in OpenAI's two APIs and in Anthropic's.

A wrong key is a 400 here, and spent credits are a 403 or a 429; words tell.
"""

from __future__ import annotations

import re
from dataclasses import replace

from forebay.protocol.canonical.listed_models import ListedModel
from forebay.protocol.dialects.anthropic import ANTHROPIC_MESSAGES
from forebay.protocol.dialects.listings import read_entry
from forebay.protocol.dialects.openai import (
    OPENAI,
    OPENAI_CHAT,
    OPENAI_EMBEDDINGS,
    OPENAI_IMAGES,
    OPENAI_RESPONSES,
)
from forebay.protocol.jsontext import JsonObject, JsonValue
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
from forebay.protocol.providers.limits.openai_headers import openai_reader

_WRONG_KEY = re.compile(r"incorrect api key", re.IGNORECASE)
_SPENT = re.compile(r"\bcredits\b|spending limit", re.IGNORECASE)
_PRICES_A_DOLLAR = 10_000
"""Prices are US cents for 100 million tokens."""


def classify(answer: FailedAnswer) -> CallFailure:
    failure = classify_by_status(answer)
    message = answer.error.message
    if answer.status in (400, 401) and _WRONG_KEY.search(message):
        return replace(failure, kind=FailureKind.KEY_REJECTED)
    if answer.status in (403, 429) and _SPENT.search(message):
        return replace(failure, kind=FailureKind.QUOTA_SPENT, retry_after=None, limit=None)
    return failure


def _read_entry(name: str, entry: JsonObject) -> ListedModel:
    return replace(
        read_entry(name, entry),
        price_input=_price(entry.get("prompt_text_token_price")),
        price_output=_price(entry.get("completion_text_token_price")),
    )


def _price(value: JsonValue) -> float | None:
    return value / _PRICES_A_DOLLAR if isinstance(value, int) and value > 0 else None


PROFILE = ProviderProfile(
    kind="xai",
    known_as=KnownAs(prices="x-ai", capabilities="xai"),
    notes=Notes(
        title="xAI",
        limits="the headers `x-ratelimit-*` of every answer, and the words of refusals.",
        lossy=("Models that reason refuse penalties and `stop`.",),
        remarks=(
            "The listing tells prices and modalities of language models; others can be asked "
            "for all the same.",
        ),
    ),
    default_base_url="https://api.x.ai/v1",
    paths={
        OPENAI_CHAT: "/chat/completions",
        OPENAI_RESPONSES: "/responses",
        ANTHROPIC_MESSAGES: "/messages",
        OPENAI_EMBEDDINGS: "/embeddings",
        OPENAI_IMAGES: MEDIA_PATHS[OPENAI_IMAGES],
    },
    listing_path="/language-models",
    listing_dialect=OPENAI,
    classify=classify,
    read_limits=openai_reader(),
    read_entry=_read_entry,
    probe=Probe(path="/api-key"),
    headers={"anthropic-version": "2023-06-01"},
    forwarded_headers=frozenset({"anthropic-version", "anthropic-beta"}),
)
