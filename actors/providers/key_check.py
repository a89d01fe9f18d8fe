"""Whether a provider takes its key, where everybody may see its listing."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import trio

from forebay.actors.providers.key_rejections import rejects_key
from forebay.actors.providers.provider import Provider
from forebay.actors.upstream import UpstreamFailure, open_call
from forebay.protocol.dialects.registry import SPEECH

_MOST_SECONDS: Final = 10.0
_LARGEST_ERROR: Final = 65_536
_LONGEST_REASON: Final = 200


async def key_fault(provider: Provider) -> str | None:
    """Why the provider does not take its key, in one line; None: it does, or its listing has told
    that already, or it can't be found out for nothing."""
    host = provider.hosts[0]
    probe = provider.profile.probe
    url = provider.profile.probe_url(host)
    if probe is None or url is None or not probe.checks_key:
        return None
    if urlsplit(url).path == urlsplit(host + provider.profile.listing_path).path:
        return None
    try:
        with trio.move_on_after(_MOST_SECONDS):
            async with open_call(
                provider.transport,
                "GET",
                url,
                headers=provider.headers,
                body=b"",
                timeouts=provider.timeouts,
            ) as answer:
                if answer.status < 400:
                    return None
                body = provider.without_secrets(await answer.read(_LARGEST_ERROR))
                if not rejects_key(provider.profile, answer.status, answer.headers, body):
                    return None
                speech = SPEECH[provider.profile.listing_dialect]
                said = speech.decode_error(answer.status, body).message
                line = f"key rejected: GET {url} answered with status {answer.status}: {said}"
                return " ".join(line.split())[: len(url) + _LONGEST_REASON]
    except UpstreamFailure:
        pass  # The listing came: it is there.
    return None
