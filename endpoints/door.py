"""Who may come in: keys, and where there are none, only the machine's own programs, or those that
the configuration lets in without one."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from forebay.actors.config import NameList, Settings
from forebay.actors.jobs.job import ANONYMOUS, Client
from forebay.endpoints.heads import RequestHead
from forebay.endpoints.routes import dialect_of
from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind

OPERATIONS: Final = "/forebay/"
"""Pages below this are about all clients."""
_THIS_MACHINE: Final = ("127.0.0.0/8", "::1/128")
_NO_CLIENTS: Final = (
    "no client keys are configured; add clients to the configuration to serve others"
)
_NO_KEY: Final = "there is no API key: send it as 'Authorization: Bearer KEY'"

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


class Door:
    """Decides whose request it is."""

    def __init__(self, settings: Settings) -> None:
        names = {name: settings.names_of(name) for name in settings.clients}
        clients = {
            name: Client(
                name=name,
                weight=client.weight,
                traffic_class=client.traffic_class,
                models=None if (listed := names[name]) is None else NameList(listed),
                manages_models=client.manage_models,
            )
            for name, client in settings.clients.items()
        }
        self._clients: Mapping[bytes, Client] = {
            _digest(client.key.get_secret_value()): clients[name]
            for name, client in settings.clients.items()
        }
        self._keyless: Mapping[str, _Keyless] = {
            dialect.value: _Keyless(clients[name], client.keyless_from or _THIS_MACHINE)
            for name, client in settings.clients.items()
            for dialect in client.keyless
        }

    def admit(self, head: RequestHead) -> Client:
        """The client that the request comes from.

        Raises:
            ApiFailure: UNAUTHENTICATED, the key is missing or unknown; FORBIDDEN, without keys a
                request that a foreign web page may have made.
        """
        if not self._clients:
            _refuse_foreign_pages(head, _is_this_machine, _NO_CLIENTS)
            return ANONYMOUS
        key = _presented_key(head)
        if key is None:
            keyless = self._keyless.get(dialect_of(head))
            if keyless is not None and keyless.takes(head):
                _refuse_foreign_pages(head, keyless.names_here(head), _NO_KEY)
                return keyless.client
            raise _unauthenticated("no API key: send it as 'Authorization: Bearer KEY'")
        # Looked up by digest, so that the time it takes says nothing about keys that exist.
        client = self._clients.get(_digest(key))
        if client is None:
            raise _unauthenticated("incorrect API key")
        return client


class _Keyless:
    """Requests of one dialect that need no key, and whose they are."""

    def __init__(self, client: Client, ranges: Iterable[str]) -> None:
        self.client = client
        self._ranges = tuple(ipaddress.ip_network(each) for each in ranges)

    def takes(self, head: RequestHead) -> bool:
        """Whether it is a request to an API, without any credentials, from where it may come."""
        peer = _address(head.peer)
        return (
            peer is not None
            and head.header("authorization") is None
            and not head.path.startswith(OPERATIONS)
            and any(peer in each for each in self._ranges)
        )

    def names_here(self, head: RequestHead) -> Callable[[str], bool]:
        """What tells whether a URL may be a name of this gateway, for whoever sent ``head``."""
        peer = _address(head.peer)
        return _is_this_machine if peer is None or peer.is_loopback else _is_near


def _address(text: str | None) -> _Address | None:
    try:
        address = ipaddress.ip_address(text or "")
    except ValueError:
        return None
    # A socket for both protocols shows the older one's addresses so.
    return getattr(address, "ipv4_mapped", None) or address


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _presented_key(head: RequestHead) -> str | None:
    scheme, _, token = (head.header("authorization") or "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return head.header("x-api-key") or head.header("api-key")


def _unauthenticated(message: str) -> ApiFailure:
    return ApiFailure(
        ApiError(kind=ErrorKind.UNAUTHENTICATED, message=message, code="invalid_api_key")
    )


def _refuse_foreign_pages(head: RequestHead, is_here: Callable[[str], bool], mend: str) -> None:
    """A web page can make its visitor's browser call a server on the visitor's own machine, and
    by rebinding its DNS name even read the answer. Such calls carry the page's name."""
    host = head.header("host")
    if host is None or not is_here(f"//{host}"):
        raise _foreign("host", host, mend)
    origin = head.header("origin")
    if origin is not None and not is_here(origin):
        raise _foreign("origin", origin, mend)
    if head.header("sec-fetch-site") == "cross-site" and origin is None:
        raise _foreign("sec-fetch-site", "cross-site", mend)


def _foreign(header: str, value: str | None, mend: str) -> ApiFailure:
    shown = "" if value is None else f" '{value[:100]}'"
    return ApiFailure(
        ApiError(
            kind=ErrorKind.FORBIDDEN,
            message=f"refused: header {header}{shown} is not of this machine, and {mend}",
        )
    )


def _is_near(url: str) -> bool:
    """Whether no page of the internet can be there: an address, or a name without a dot."""
    try:
        name = urlsplit(url).hostname
    except ValueError:
        return False
    if name is None:
        return False
    return "." not in name or _address(name) is not None or _is_this_machine(url)


def _is_this_machine(url: str) -> bool:
    try:
        name = urlsplit(url).hostname
        if name is None:
            return False
        return (
            name == "localhost"
            or name.endswith(".localhost")
            or ipaddress.ip_address(name).is_loopback
        )
    except ValueError:  # no URL, or a name like any other
        return False
