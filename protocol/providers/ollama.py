"""Ollama servers: one host or several, and Ollama's cloud.

A local server passes the calls for models of the cloud on, with the cloud's refusals. So a key or
a quota that fails for one model says nothing of the others.
"""

from __future__ import annotations

from dataclasses import replace

from forebay.protocol.dialects.base import Prefill, UpstreamTraits
from forebay.protocol.dialects.ollama import (
    OLLAMA,
    OLLAMA_CHAT,
    OLLAMA_EMBED,
    OLLAMA_EMBEDDINGS,
    OLLAMA_GENERATE,
    ask_to_show,
    decode_running,
    decode_shown,
    stay_after,
)
from forebay.protocol.providers.base import (
    CallFailure,
    Details,
    FailedAnswer,
    FailureKind,
    LoadedModels,
    Notes,
    Probe,
    ProviderProfile,
)
from forebay.protocol.providers.classification import classify_by_status
from forebay.protocol.providers.limits.hints import HintKind, LimitHint
from forebay.protocol.providers.limits.refusals import spent_window

_SPENT_PHRASE = "usage limit"
"""The cloud refuses with 429 and prose for windows of an hour, a session of hours, a week or a
month (``you have reached your weekly usage limit, upgrade for higher limits``), and with other
words for calls at the same time."""
_WORTH_WAITING = 300.0
"""Seconds."""


def classify(answer: FailedAnswer) -> CallFailure:
    """By status; but a usage limit is a spent quota, unless it is told to end soon."""
    failure = classify_by_status(answer)
    message = answer.error.message
    if failure.kind is not FailureKind.RATE_LIMITED or _SPENT_PHRASE not in message.lower():
        return failure
    limit = LimitHint(kind=HintKind.SPENT_UNTIL, window=spent_window(message))
    wait = failure.retry_after
    if wait is not None and wait <= _WORTH_WAITING:
        return replace(failure, limit=limit)
    return replace(
        failure, kind=FailureKind.QUOTA_SPENT, retry_after=None, resets_in=wait, limit=limit
    )


def _is_of_the_cloud(model_id: str) -> bool:
    """``gpt-oss:120b-cloud``, ``glm-5:cloud``."""
    return model_id.endswith(("-cloud", ":cloud"))


PROFILE = ProviderProfile(
    kind="ollama",
    notes=Notes(
        title="Ollama servers",
        limits=(
            "`limits.concurrency`, for each host, or by trying: servers queue calls themselves "
            "and tell nothing."
        ),
        lossy=(
            "Prompts that are too long lose their oldest messages, if the server was started "
            "with too little context.",
            "Calls of tools can't be forced.",
        ),
        remarks=(
            "`hosts` names several servers, each with slots of its own. A model is asked for at "
            "the hosts that list it; among those that have room, where it is loaded already "
            "(`/api/ps`, once a minute, and what answers), else where least is under way. "
            "No request waits for a better host while another one has room.",
            "Models of Ollama's cloud can be asked for at a local server; to ask the cloud "
            "directly is the kind `ollama_cloud`.",
        ),
    ),
    default_base_url="http://127.0.0.1:11434",
    paths={
        OLLAMA_CHAT: "/api/chat",
        OLLAMA_GENERATE: "/api/generate",
        OLLAMA_EMBED: "/api/embed",
        OLLAMA_EMBEDDINGS: "/api/embeddings",
    },
    listing_path="/api/tags",
    listing_dialect=OLLAMA,
    classify=classify,
    details=(Details(path="/api/show", body=ask_to_show, read=decode_shown),),
    probe=Probe(path="/api/version", checks_key=False),
    needs_key=False,
    takes_hosts=True,
    loaded_models=LoadedModels(path="/api/ps", read=decode_running, stay_after=stay_after),
    manages_models=True,
    one_account=False,
    shortens_answers=True,
    is_passed_on=_is_of_the_cloud,
    traits=UpstreamTraits(prefill=Prefill.LAST_TURN),
)
