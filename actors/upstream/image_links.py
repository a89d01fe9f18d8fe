"""Getting the images that links lead to: from public addresses, within a size and a time.

Never through a proxy, whatever the environment says: a proxy would look up the names by itself,
and could be led to addresses that must not be called.
"""

from __future__ import annotations

import base64
import ssl
from typing import Final
from urllib.parse import urljoin, urlsplit

import httpcore
import trio

from forebay.actors.upstream.calls import (
    CallTimeouts,
    ConnectFailed,
    UpstreamAnswer,
    UpstreamFailure,
    open_call,
)
from forebay.actors.upstream.connections import ConnectionStack
from forebay.actors.upstream.public_network import PublicNetwork, Resolve, resolve
from forebay.actors.upstream.tls import system_trust
from forebay.actors.upstream.wire import CLOSE_GRACE
from forebay.protocol.canonical.requests import InlineData
from forebay.protocol.media_types import media_type_shown

_MOST_REDIRECTS: Final = 3
_LONGEST_LINK: Final = 8192
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_HEADERS: Final = {
    "user-agent": "forebay",
    "accept": "image/*",
    # Said here, it also means that nothing is unpacked: a small answer can't become a large one.
    "accept-encoding": "identity",
}


class LinkRefused(Exception):
    """There is no image to be had there; the message says why, for the client whose link it is."""


class Allowance:
    """How many bytes may still be read, of several images together."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._left = total

    def take(self, size: int) -> None:
        """Raises:
        LinkRefused: that is more than there is.
        """
        self._left -= size
        if self._left < 0:
            raise LinkRefused(
                f"the linked images of one request may have {self._total} bytes together"
            )


class ImageFetcher:
    """Gets images from public addresses. Keeps nothing and no connection."""

    def __init__(
        self,
        *,
        exempt: frozenset[str] = frozenset(),
        resolve: Resolve = resolve,
        network: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        """Args: as of :class:`PublicNetwork`."""
        self._exempt = exempt
        self._resolve = resolve
        self._network = network
        self._ssl_context: ssl.SSLContext | None = None

    async def fetch(self, url: str, *, allowance: Allowance, seconds: float) -> InlineData:
        """The image at ``url``.

        Args:
            seconds: that all of it may take.

        Raises:
            LinkRefused: there is none, or none that may be had.
        """
        network = PublicNetwork(exempt=self._exempt, resolve=self._resolve, network=self._network)
        if self._ssl_context is None:
            self._ssl_context = system_trust()
        # One for each link: their hosts are whatever clients write, and would pile up in a stack.
        stack = ConnectionStack(
            ssl_context=self._ssl_context, network_backend=network, max_idle_per_origin=0
        )
        try:
            with trio.fail_after(seconds):
                data = await _fetch(stack, url, allowance, seconds)
        except trio.TooSlowError:
            raise LinkRefused(f"it did not come within {seconds:g} seconds") from None
        except ConnectFailed:
            reason = "it can't be reached"
            if network.refused:
                reason = "it leads to an address that is not public"
            raise LinkRefused(reason) from None
        except UpstreamFailure:
            raise LinkRefused("its server broke off") from None
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_GRACE):
                await stack.aclose()
        encoded = base64.b64encode(data).decode("ascii")
        media_type = media_type_shown(encoded)
        if media_type is None or not media_type.startswith("image/"):
            raise LinkRefused("what is there is no image of a kind that is known here")
        return InlineData(base64=encoded, media_type=media_type)


async def _fetch(stack: ConnectionStack, url: str, allowance: Allowance, seconds: float) -> bytes:
    timeouts = CallTimeouts(connect=seconds, first_byte=seconds, between_bytes=seconds)
    for _ in range(_MOST_REDIRECTS + 1):
        _check(url)
        try:
            call = open_call(stack, "GET", url, headers=_HEADERS, body=b"", timeouts=timeouts)
            async with call as answer:
                if answer.status == 200:
                    return await _read(answer, allowance)
                location = answer.headers.get("location", "")
                if answer.status not in _REDIRECTS or not location:
                    raise LinkRefused(f"its server answered with status {answer.status}")
                url = urljoin(url, location)
        except ValueError:
            raise LinkRefused("it is no valid link") from None
    raise LinkRefused(f"it leads on more than {_MOST_REDIRECTS} times")


async def _read(answer: UpstreamAnswer, allowance: Allowance) -> bytes:
    pieces: list[bytes] = []
    async for piece in answer.chunks():
        allowance.take(len(piece))
        pieces.append(piece)
    return b"".join(pieces)


def _check(url: str) -> None:
    """Raises:
    LinkRefused: ``url`` is nothing that may be called, wherever it leads.
    """
    if len(url) > _LONGEST_LINK:
        raise LinkRefused(f"it is longer than {_LONGEST_LINK} characters")
    try:
        parts = urlsplit(url)
        host, name = parts.hostname, parts.username
    except ValueError:
        raise LinkRefused("it is no valid link") from None
    if parts.scheme not in ("http", "https") or not host:
        raise LinkRefused("it is no http or https link")
    if name is not None:
        raise LinkRefused("it holds a user name")
