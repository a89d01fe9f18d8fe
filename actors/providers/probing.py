"""One free question to a server: whether it can be asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import httpx
import trio

from forebay.actors.providers.connection_advice import told_to_operators
from forebay.actors.providers.health import Finding
from forebay.actors.upstream import (
    BodyTooLong,
    CallTimeouts,
    ConnectFailed,
    UpstreamFailure,
    open_call,
)
from forebay.protocol.dialects.base import DialectSpeech

_MOST_SECONDS: Final = 10.0
_LARGEST_ERROR: Final = 65_536
_LONGEST_REASON: Final = 200


async def ask_whether_well(
    transport: httpx.AsyncBaseTransport,
    url: str,
    *,
    provider: str,
    speech: DialectSpeech,
    headers: Mapping[str, str],
    timeouts: CallTimeouts,
    without_secrets: Callable[[bytes], bytes],
) -> Finding:
    """Whoever answers with a status below 500 is there, and does not say that it is not ready.

    Args:
        provider: its name in the configuration.
        speech: reads what it says.
        without_secrets: takes out of an answer what must not be repeated.
    """
    patience = replace(
        timeouts,
        connect=min(timeouts.connect, _MOST_SECONDS),
        first_byte=min(timeouts.first_byte, _MOST_SECONDS),
        between_bytes=min(timeouts.between_bytes, _MOST_SECONDS),
    )
    try:
        with trio.fail_after(_MOST_SECONDS):
            async with open_call(
                transport, "GET", url, headers=headers, body=b"", timeouts=patience
            ) as answer:
                said = f"GET {url} answered with status {answer.status}"
                if answer.status < 500:
                    return Finding(True, said)
                body = without_secrets(await answer.read(_LARGEST_ERROR))
                message = speech.decode_error(answer.status, body).message
                return Finding(False, _one_line(f"{said}: {message}"))
    except BodyTooLong:
        return Finding(False, said)
    except UpstreamFailure as failure:
        told = _one_line(told_to_operators(failure, provider), longest=2 * _LONGEST_REASON)
        return Finding(False, told, answers=not isinstance(failure, ConnectFailed))
    except trio.TooSlowError:
        return Finding(False, f"GET {url} took longer than {_MOST_SECONDS:g} s", answers=False)


def _one_line(text: str, *, longest: int = _LONGEST_REASON) -> str:
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
