"""Google's Gemini models, by its endpoint in OpenAI's style.

Errors are Google's: in an array, with details. A quota that is used up names itself there; what it
says of when to come back is that of the shortest window, so a day's quota is not waited for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from forebay.protocol.canonical.listed_models import ListedModel
from forebay.protocol.dialects.listings import read_entry
from forebay.protocol.dialects.openai import (
    OPENAI,
    OPENAI_CHAT,
    OPENAI_EMBEDDINGS,
    OPENAI_IMAGES,
)
from forebay.protocol.jsontext import InvalidJson, JsonObject, JsonValue, loads
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
from forebay.protocol.providers.limits.header_values import amount
from forebay.protocol.providers.limits.hints import HintKind, LimitHint
from forebay.protocol.providers.limits.readings import Quantity
from forebay.protocol.providers.waits import parse_duration

_LISTED_BELOW = "models/"
_DAY, _MINUTE = 86400.0, 60.0


def classify(answer: FailedAnswer) -> CallFailure:
    """By status and by the details."""
    failure = classify_by_status(answer)
    details = list(_details(answer.body))
    if any(detail.get("reason") == "API_KEY_INVALID" for detail in details):
        return replace(failure, kind=FailureKind.KEY_REJECTED)
    if failure.kind is not FailureKind.RATE_LIMITED:
        return failure
    wait = failure.retry_after
    for detail in details:
        if wait is None and isinstance(delay := detail.get("retryDelay"), str):
            wait = parse_duration(delay)
    limits = [_limit(violation) for detail in details for violation in _violations(detail)]
    spent = next((limit for limit in limits if limit.kind is HintKind.SPENT_UNTIL), None)
    if spent is not None:
        return replace(failure, kind=FailureKind.QUOTA_SPENT, retry_after=None, limit=spent)
    return replace(failure, retry_after=wait, limit=limits[0] if limits else failure.limit)


def _details(body: bytes) -> Iterator[JsonObject]:
    try:
        value = loads(body)
    except InvalidJson:
        return
    if isinstance(value, list) and value:
        value = value[0]
    error = value.get("error") if isinstance(value, dict) else None
    yield from _objects(error.get("details") if isinstance(error, dict) else None)


def _violations(detail: JsonObject) -> Iterator[JsonObject]:
    yield from _objects(detail.get("violations"))


def _objects(value: JsonValue) -> Iterator[JsonObject]:
    yield from (
        each for each in (value if isinstance(value, list) else ()) if isinstance(each, dict)
    )


def _limit(violation: JsonObject) -> LimitHint:
    """``GenerateRequestsPerDayPerProjectPerModel-FreeTier`` and its like."""
    quota = str(violation.get("quotaId"))
    value = violation.get("quotaValue")
    quantity = Quantity.INPUT_TOKENS if "Tokens" in quota else Quantity.REQUESTS
    is_of_day = "PerDay" in quota
    return LimitHint(
        kind=HintKind.SPENT_UNTIL if is_of_day else HintKind.RATE,
        quantity=quantity,
        window=_DAY if is_of_day else _MINUTE,
        limit=amount(str(value)) if isinstance(value, str | int) else None,
    )


def _read_entry(name: str, entry: JsonObject) -> ListedModel:
    return read_entry(name.removeprefix(_LISTED_BELOW), entry)


PROFILE = ProviderProfile(
    kind="gemini",
    known_as=KnownAs(prices="google", capabilities="google"),
    notes=Notes(
        title="Google's Gemini models",
        limits=(
            "the details of a refusal, which name the quota: one of a minute is waited for, one "
            "of a day takes the model out. Answers tell nothing."
        ),
        lossy=(
            "It has what Gemini's endpoint in OpenAI's style has, not all of Google's own API.",
        ),
        remarks=(
            "The listing says `models/NAME`; both that and the plain name work, and Forebay "
            "lists the plain one.",
        ),
    ),
    default_base_url="https://generativelanguage.googleapis.com/v1beta/openai",
    paths={
        OPENAI_CHAT: "/chat/completions",
        OPENAI_EMBEDDINGS: "/embeddings",
        OPENAI_IMAGES: MEDIA_PATHS[OPENAI_IMAGES],
    },
    listing_path="/models",
    listing_dialect=OPENAI,
    classify=classify,
    read_entry=_read_entry,
    probe=Probe(path="/models"),
    one_account=False,
)
