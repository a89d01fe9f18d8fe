"""OpenRouter: models of many providers behind one account, in three APIs.

A call that fails at the provider behind it is told as OpenRouter's own failure, with what that
provider said in ``error.metadata``.
"""

from __future__ import annotations

from dataclasses import replace

from forebay.protocol.canonical.errors import ErrorKind
from forebay.protocol.dialects.anthropic import ANTHROPIC_MESSAGES
from forebay.protocol.dialects.base import Prefill, UpstreamTraits
from forebay.protocol.dialects.openai import (
    OPENAI,
    OPENAI_CHAT,
    OPENAI_COMPLETIONS,
    OPENAI_EMBEDDINGS,
    OPENAI_RERANK,
    OPENAI_RESPONSES,
)
from forebay.protocol.providers._claude_models import claude_traits
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
from forebay.protocol.providers.limits.plain_headers import read_openrouter
from forebay.protocol.providers.limits.told_in_body import told_in_body


def classify(answer: FailedAnswer) -> CallFailure:
    """By status; but a 403 that gives its reasons is a moderator's word on the prompt, not one on
    the key."""
    failure = classify_by_status(answer)
    if answer.status == 403 and told_in_body(answer.body).is_moderated:
        error = replace(failure.error, kind=ErrorKind.BAD_REQUEST)
        return replace(failure, kind=FailureKind.REQUEST_REJECTED, error=error)
    return failure


PROFILE = ProviderProfile(
    kind="openrouter",
    known_as=KnownAs(prices="openrouter", capabilities="openrouter"),
    notes=Notes(
        title="OpenRouter",
        limits=(
            "the headers of its refusals, and those that a refusal repeats in `error.metadata`; "
            "answers tell nothing. Free models have windows of a minute and a day."
        ),
        lossy=(
            "Parameters that the provider behind a model does not have are dropped there "
            "without a word: the listing's `supported_parameters` tells which it has.",
            "Its Responses API keeps nothing: what requests build on is kept by Forebay.",
        ),
        remarks=(
            "The listing is open to all, so a wrong key shows with the first call, or with "
            "the probe.",
            "The three APIs are asked as the client asks: Anthropic's clients get Anthropic's "
            "bytes.",
        ),
    ),
    default_base_url="https://openrouter.ai/api/v1",
    paths={
        OPENAI_CHAT: "/chat/completions",
        ANTHROPIC_MESSAGES: "/messages",
        OPENAI_RESPONSES: "/responses",
        OPENAI_COMPLETIONS: "/completions",
        OPENAI_EMBEDDINGS: "/embeddings",
        OPENAI_RERANK: "/rerank",
    },
    listing_path="/models",
    listing_dialect=OPENAI,
    classify=classify,
    read_limits=read_openrouter,
    probe=Probe(path="/key"),
    traits=UpstreamTraits(prefill=Prefill.LAST_TURN),
    model_traits=claude_traits,
    headers={"anthropic-version": "2023-06-01"},
    forwarded_headers=frozenset({"anthropic-version", "anthropic-beta"}),
)
