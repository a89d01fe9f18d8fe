"""Who may come in: keys, and on a machine without keys, only the machine's own programs."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from forebay.actors.config import Settings
from forebay.actors.gateway.jobs import ANONYMOUS, Client
from forebay.endpoints.heads import RequestHead
from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind


class Door:
    """Decides whose request it is."""

    def __init__(self, settings: Settings) -> None:
        self._clients: Mapping[bytes, Client] = {
            _digest(client.key.get_secret_value()): Client(
                name=name,
                weight=client.weight,
                traffic_class=client.traffic_class,
                models=None if client.models is None else frozenset(client.models),
                manages_models=client.manage_models,
            )
            for name, client in settings.clients.items()
        }

    def admit(self, head: RequestHead) -> Client:
        """The client that the request comes from.

        Raises:
            ApiFailure: UNAUTHENTICATED, the key is missing or unknown; FORBIDDEN, without keys a
                request that a foreign web page may have made.
        """
        if not self._clients:
            _refuse_foreign_pages(head)
            return ANONYMOUS
        key = _presented_key(head)
        if key is None:
            raise _unauthenticated("no API key: send it as 'Authorization: Bearer KEY'")
        # Looked up by digest, so that the time it takes says nothing about keys that exist.
        client = self._clients.get(_digest(key))
        if client is None:
            raise _unauthenticated("incorrect API key")
        return client


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


def _refuse_foreign_pages(head: RequestHead) -> None:
    """A web page can make its visitor's browser call a server on the visitor's own machine, and
    by rebinding its DNS name even read the answer. Such calls carry the page's name."""
    host = head.header("host")
    if host is None or not _is_this_machine(f"//{host}"):
        raise _foreign("host", host)
    origin = head.header("origin")
    if origin is not None and not _is_this_machine(origin):
        raise _foreign("origin", origin)
    if head.header("sec-fetch-site") == "cross-site" and origin is None:
        raise _foreign("sec-fetch-site", "cross-site")


def _foreign(header: str, value: str | None) -> ApiFailure:
    shown = "" if value is None else f" '{value[:100]}'"
    return ApiFailure(
        ApiError(
            kind=ErrorKind.FORBIDDEN,
            message=(
                f"refused: header {header}{shown} is not of this machine, and no client keys are "
                "configured; add clients to the configuration to serve others"
            ),
        )
    )


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
