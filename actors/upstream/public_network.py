"""Connections to the public internet, and to nothing else.

For links that clients send: a gateway that calls whatever it is told to would open the machines
around it, and the metadata service of its cloud, to everybody who may ask it for an answer. What is
checked is the very address that is then connected to, so no name can change its mind in between.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeAlias

import httpcore
import trio

from forebay.actors.upstream.wire import SocketOption

Resolve: TypeAlias = Callable[[str, int], Awaitable[list[str]]]
"""The addresses of a host and port; raises OSError."""

_MOST_ADDRESSES: Final = 4
"""That are tried, of one name."""
_TRANSLATED: Final = ipaddress.ip_network("64:ff9b::/96")
"""IPv4 as a NAT64 shows it (RFC 6052): the address that counts is the one inside."""


async def resolve(host: str, port: int) -> list[str]:
    """As the system does it."""
    found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def is_public(address: str) -> bool:
    """Whether an address may be anybody's on the internet: no loopback, no private or unique local
    network, no link's own, no multicast, nothing reserved, and no IPv6 that hides an IPv4."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if ip in _TRANSLATED:
            return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
        if ip.sixtofour is not None or ip.teredo is not None or ip.is_site_local:
            return False
    return ip.is_global and not (
        ip.is_multicast or ip.is_reserved or ip.is_unspecified or ip.is_loopback or ip.is_link_local
    )


class PublicNetwork(httpcore.AsyncNetworkBackend):
    """Connects to a name only if every address it has is public; to an address likewise."""

    def __init__(
        self,
        *,
        exempt: frozenset[str] = frozenset(),
        resolve: Resolve = resolve,
        network: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        """
        Args:
            exempt: addresses that may be called although they are not public: a test's own
                servers.
            network: connects to the addresses.
        """
        self.refused = False
        """Somebody wanted to go where nobody may."""
        self._exempt = exempt
        self._resolve = resolve
        self._network = network or httpcore.TrioBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises httpcore.ConnectError: the address is not public, or can't be reached."""
        try:
            addresses = await self._resolve(host, port)
        except (OSError, UnicodeError) as fault:
            raise httpcore.ConnectError("no such host") from fault
        if not all(address in self._exempt or is_public(address) for address in addresses):
            self.refused = True
            raise httpcore.ConnectError("not a public address")
        last: Exception = httpcore.ConnectError("no such host")
        for address in addresses[:_MOST_ADDRESSES]:
            try:
                return await self._network.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as unreachable:
                last = unreachable
        raise last

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Never: a socket of this machine is not public."""
        await trio.lowlevel.checkpoint()
        self.refused = True
        raise httpcore.ConnectError("not a public address")

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)
