"""DeepSeek: chats, Anthropic's Messages API beside them, and a beta that goes on with texts.

It limits how many calls of an account are under way at once, model by model, and tells no numbers.
While it is busy it keeps answers alive with blank lines and comments.
"""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlsplit

from forebay.protocol.dialects.anthropic import ANTHROPIC_MESSAGES
from forebay.protocol.dialects.base import Prefill
from forebay.protocol.dialects.openai import OPENAI, OPENAI_CHAT, OPENAI_COMPLETIONS
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
from forebay.protocol.providers.limits.hints import HintKind, LimitHint

_BETA = "/beta"


def classify(answer: FailedAnswer) -> CallFailure:
    """By status; a limit that is not named is the one on calls at the same time."""
    failure = classify_by_status(answer)
    if failure.kind is FailureKind.RATE_LIMITED and failure.limit is None:
        return replace(failure, limit=LimitHint(kind=HintKind.CONCURRENCY))
    return failure


def prefill_of(base_url: str, owner: str) -> Prefill:
    """Only its beta goes on with a turn of the model's."""
    return Prefill.PREFIX if urlsplit(base_url).path.endswith(_BETA) else Prefill.NONE


PROFILE = ProviderProfile(
    kind="deepseek",
    known_as=KnownAs(prices="deepseek", capabilities="deepseek"),
    notes=Notes(
        title="DeepSeek",
        limits=(
            "refusals: it limits calls at the same time, for each model of an account, and tells "
            "no numbers. While it is busy it keeps answers alive."
        ),
        lossy=(
            "A JSON schema is not forced; only JSON is.",
            "There are no embeddings.",
        ),
        remarks=(
            "Completions are its beta, whose path Forebay finds by itself. With `base_url: "
            "https://api.deepseek.com/beta` chats can be gone on with where they broke off.",
        ),
    ),
    default_base_url="https://api.deepseek.com",
    other_base_paths=("/v1", _BETA),
    paths={
        OPENAI_CHAT: "/chat/completions",
        ANTHROPIC_MESSAGES: "/v1/messages",
        OPENAI_COMPLETIONS: "/completions",
    },
    bases={ANTHROPIC_MESSAGES: "/anthropic", OPENAI_COMPLETIONS: _BETA},
    listing_path="/models",
    listing_dialect=OPENAI,
    classify=classify,
    probe=Probe(path="/models"),
    prefill_of=prefill_of,
    headers={"anthropic-version": "2023-06-01"},
    forwarded_headers=frozenset({"anthropic-version", "anthropic-beta"}),
)
