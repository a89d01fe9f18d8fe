"""Mistral: it refuses every field that it does not know, with a 422."""

from __future__ import annotations

from dataclasses import replace

from forebay.protocol.dialects.base import Prefill, UpstreamTraits
from forebay.protocol.dialects.openai import (
    OPENAI,
    OPENAI_CHAT,
    OPENAI_EMBEDDINGS,
    OPENAI_MODERATIONS,
    OPENAI_TRANSCRIPTIONS,
)
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

_KNOWN_FIELDS = frozenset(
    {
        "frequency_penalty",
        "guardrails",
        "max_tokens",
        "messages",
        "metadata",
        "model",
        "n",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_mode",
        "random_seed",
        "reasoning_effort",
        "response_format",
        "safe_prompt",
        "service_tier",
        "stop",
        "stream",
        "temperature",
        "tool_choice",
        "tools",
        "top_p",
    }
)


def classify(answer: FailedAnswer) -> CallFailure:
    """By status; but a limit of no request at all is told of models that the plan does not have."""
    failure = classify_by_status(answer)
    if (
        failure.kind is FailureKind.RATE_LIMITED
        and answer.headers.get("x-ratelimit-limit-req-minute", "").strip() == "0"
    ):
        return replace(failure, kind=FailureKind.TARGET_FORBIDDEN, retry_after=None, limit=None)
    return failure


PROFILE = ProviderProfile(
    kind="mistral",
    known_as=KnownAs(prices="mistral", capabilities="mistral"),
    notes=Notes(
        title="Mistral",
        limits=(
            "the headers `x-ratelimit-*-minute` of every answer. A limit of 0 is told of models "
            "that the plan does not have: they are taken out."
        ),
        lossy=(
            "Fields that it does not know are dropped, and what the model thought before: it "
            "would refuse them. `seed` and `user` are among them.",
            "Ids of calls that are not Mistral's own get stand-ins of nine letters and digits.",
            "Embeddings with `dimensions` or `user` are refused.",
        ),
    ),
    default_base_url="https://api.mistral.ai/v1",
    paths={
        OPENAI_CHAT: "/chat/completions",
        OPENAI_EMBEDDINGS: "/embeddings",
        OPENAI_TRANSCRIPTIONS: MEDIA_PATHS[OPENAI_TRANSCRIPTIONS],
        OPENAI_MODERATIONS: "/moderations",
    },
    listing_path="/models",
    listing_dialect=OPENAI,
    classify=classify,
    read_limits=openai_reader(),
    probe=Probe(path="/models"),
    traits=UpstreamTraits(
        # Usage is in the last chunk without being asked for.
        stream_usage=False,
        known_fields=_KNOWN_FIELDS,
        takes_past_reasoning=False,
        short_tool_ids=True,
        prefill=Prefill.PREFIX,
    ),
)
