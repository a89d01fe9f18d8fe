"""Hugging Face: its router over many providers, dedicated endpoints, and TGI and TEI anywhere.

The router has chats only; dedicated endpoints and servers have what their software has, and are
reached by ``base_url``. An endpoint that was scaled to zero answers 502 or 503 for the minutes that
it needs to come back.
"""

from __future__ import annotations

from dataclasses import replace

from forebay.protocol.dialects.openai import (
    OPENAI,
    OPENAI_CHAT,
    OPENAI_COMPLETIONS,
    OPENAI_EMBEDDINGS,
)
from forebay.protocol.providers._tgi_info import SERVER_INFO
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
from forebay.protocol.providers.limits.ietf_headers import read_ietf

_KINDS = {
    424: FailureKind.SERVER_FAILED,  # TGI: it broke while it generated
    502: FailureKind.OVERLOADED,  # an endpoint that is about to start
}


def classify(answer: FailedAnswer) -> CallFailure:
    failure = classify_by_status(answer)
    kind = _KINDS.get(answer.status)
    return failure if kind is None else replace(failure, kind=kind)


PROFILE = ProviderProfile(
    kind="huggingface",
    known_as=KnownAs(capabilities="huggingface"),
    notes=Notes(
        title="Hugging Face: router, dedicated endpoints, TGI and TEI",
        limits=(
            "the headers `RateLimit` of the router. TGI and TEI limit calls at the same time, tell "
            "by `/info` how many, and refuse more with a 429; an endpoint that was scaled to zero "
            "answers 502 or 503 until it is back, and is waited for. A 402 means that the month's "
            "credits are spent."
        ),
        lossy=(
            "The router has chats only; embeddings need an endpoint with TEI or another server.",
            "Which provider serves a model at the router is not known beforehand: of several, "
            "the shortest context, the highest price and what all of them have counts. "
            "`model:provider` names one.",
            "TGI ends answers after 1,024 tokens where a request has no limit of its own.",
        ),
        remarks=(
            "For an endpoint or a server, `base_url` is its address with `/v1`. A key is only "
            "required for the router.",
            "`headers: {X-HF-Bill-To: ORGANISATION}` bills an organisation.",
        ),
    ),
    default_base_url="https://router.huggingface.co/v1",
    paths={
        OPENAI_CHAT: "/chat/completions",
        OPENAI_COMPLETIONS: "/completions",
        OPENAI_EMBEDDINGS: "/embeddings",
    },
    listing_path="/models",
    listing_dialect=OPENAI,
    classify=classify,
    read_limits=read_ietf,
    details=(SERVER_INFO,),
    probe=Probe(path="/models", checks_key=False),
    needs_key_elsewhere=False,
)
