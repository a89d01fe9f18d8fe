"""Why a provider gave no listing, in one line for whoever wrote its ``base_url``.

Most often that is wrong: the ``/v1`` is missing or too many, or the port is that of a web page.
What was found there says so, and the provider's kind says how the URL is usually written.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import urljoin, urlsplit

from forebay.protocol.canonical.errors import ApiFailure
from forebay.protocol.canonical.listed_models import ListedModel
from forebay.protocol.dialects.base import DialectSpeech
from forebay.protocol.dialects.registry import CODECS, SPEECH
from forebay.protocol.providers.base import ProviderProfile

_NOT_HERE = frozenset({301, 302, 303, 307, 308, 404, 405, 410})
"""Statuses that tell of a wrong URL rather than of a server in trouble."""
_TITLE = re.compile(r"<title[^>]*>([^<]{1,80})", re.IGNORECASE)
_HEAD_OF_PAGE = 4096
_LONGEST_REASON = 200
_ENDS_OF_ENDPOINTS = (
    "/chat/completions",
    "/completions",
    "/messages",
    "/models",
    "/chat",
    "/generate",
    "/tags",
    "/api",
    "/v1",
)
"""What people copy into a base URL that belongs to the paths below it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingAnswer:
    """What came back when a provider was asked for its models."""

    status: int
    content_type: str
    location: str
    """Of a redirect; else ""."""
    told_to_wait: float = 0.0
    """Seconds, where it was refused and says when to come back."""
    key_rejected: bool = False
    body: bytes


class NotAListing(Exception):
    """The answer lists no models; the message says what it is instead, in one line."""


def read_listing(
    answer: ListingAnswer,
    profile: ProviderProfile,
    base_url: str,
    *,
    without_secrets: Callable[[bytes], bytes],
) -> tuple[ListedModel, ...]:
    """The models that an answer lists.

    Args:
        without_secrets: Takes out of what the provider says what must not be repeated.

    Raises:
        NotAListing: it lists none.
    """
    speech = SPEECH[profile.listing_dialect]
    if answer.status == 200:
        try:
            return speech.decode_model_list(answer.body, profile.read_entry)
        except ApiFailure:
            pass
    # Before anything is cut off, which could leave half a secret.
    harmless = replace(
        answer,
        location=without_secrets(answer.location.encode()).decode(),
        body=without_secrets(answer.body),
    )
    message = f"GET {base_url}{profile.listing_path} answered with "
    message += _what_it_is(harmless, speech, base_url)
    if answer.status == 200 or answer.status in _NOT_HERE:
        message += f"; {base_url_advice(profile, base_url)}"
    raise NotAListing(message)


def _what_it_is(answer: ListingAnswer, speech: DialectSpeech, base_url: str) -> str:
    """What an answer is instead of a listing."""
    if answer.location and 300 <= answer.status < 400:
        return f"status {answer.status}, a redirect to {_harmless(answer.location, base_url)}"
    start = answer.body[:_HEAD_OF_PAGE].lstrip()
    if start[:1] == b"<" or answer.content_type.lower().startswith("text/html"):
        title = _TITLE.search(start.decode("utf-8", "replace"))
        named = f' "{_one_line(title[1])}"' if title is not None else ""
        return f"a web page{named} (HTML, status {answer.status})"
    if answer.status == 200:
        return f"status 200, but {_one_line(_why_no_listing(answer.body, speech))}"
    said = speech.decode_error(answer.status, answer.body).message
    return f"status {answer.status}: {_one_line(said)}"


def _why_no_listing(body: bytes, speech: DialectSpeech) -> str:
    try:
        speech.decode_model_list(body)
    except ApiFailure as failure:
        return failure.error.message
    return "the upstream's answer is no list of models"


def base_url_advice(profile: ProviderProfile, base_url: str) -> str:
    """How the base URL is usually written for this kind of provider."""
    parts = urlsplit(base_url)
    usual = _usual_path(profile)
    path = parts.path.rstrip("/")
    known = (usual, *profile.other_base_paths)
    if not any(ending and path.endswith(ending) for ending in known):
        while ending := next((end for end in _ENDS_OF_ENDPOINTS if path.endswith(end)), ""):
            path = path.removesuffix(ending)
        before, _, too_much = path.partition(f"{usual}/") if usual else (path, "", "")
        path = (before if too_much else path) + usual
    better = f"{parts.scheme}://{parts.netloc}{path}"
    if better == base_url.rstrip("/"):
        return f"base_url has the usual form for kind '{profile.kind}': check its host and the kind"
    return f"for kind '{profile.kind}' base_url is usually written as {better}"


def _usual_path(profile: ProviderProfile) -> str:
    """The path that base URLs of this kind end with: of its own address, or what is missing between
    it and the paths where the dialects' clients post to."""
    if profile.default_base_url is not None:
        return profile.usual_path
    if profile.other_base_paths:
        return profile.other_base_paths[0]
    for api, path in profile.paths.items():
        codec = CODECS.get(api)
        if codec is not None and codec.path.endswith(path):
            return codec.path.removesuffix(path)
    return ""


def _harmless(location: str, base_url: str) -> str:
    """Where a redirect leads, without what may be a secret in it."""
    try:
        parts = urlsplit(urljoin(base_url, location))
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "an address that is none"
    return _one_line(f"{parts.scheme}://{host}{'' if port is None else f':{port}'}{parts.path}")


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_REASON else f"{line[: _LONGEST_REASON - 1]}…"
