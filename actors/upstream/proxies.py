"""Through which proxy a URL is called, if any: what the environment says of it, as rules.

Pure: nothing is called here. The variables are those of curl and Go: ``HTTPS_PROXY``,
``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``, in lower case as well, which comes first.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from urllib.parse import unquote, urlsplit

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_SEPARATORS: Final = re.compile(r"[\s,]+")

_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """An HTTP proxy."""

    host: str
    port: int
    over_tls: bool = False
    """It is itself spoken to by TLS."""
    authorization: bytes | None = field(default=None, repr=False)
    """What ``proxy-authorization`` says to it."""
    setting: str
    """Where it was configured, for errors: ``HTTPS_PROXY``, ``providers.gpu.proxy``."""

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class ProxyUnusable(ValueError):
    """What stands for a proxy is none that can be used. The message repeats nothing of it."""

    def __init__(self, message: str, setting: str) -> None:
        super().__init__(message)
        self.setting = setting


def read_proxy(text: str, setting: str) -> Proxy:
    """The proxy of a URL, ``http://USER:PASSWORD@HOST:PORT`` in full. Without a scheme it is http;
    without a port, that of the scheme.

    Raises:
        ProxyUnusable: it is the URL of none.
    """
    scheme, separator, _ = text.partition("://")
    if not separator:
        scheme, text = "http", f"http://{text}"
    if scheme.lower().startswith("socks"):
        raise ProxyUnusable("is a SOCKS proxy; only http:// and https:// are supported", setting)
    scheme = scheme.lower()
    if scheme not in _DEFAULT_PORTS:
        raise ProxyUnusable("must be a URL that begins with http:// or https://", setting)
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not host.isascii() or not host.isprintable() or " " in host or port == 0:
        raise ProxyUnusable("is not the URL of a proxy", setting)
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ProxyUnusable("must not have a path or a query", setting)
    authorization = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = b"Basic " + base64.b64encode(pair.encode())
    return Proxy(
        host=host,
        port=port or _DEFAULT_PORTS[scheme],
        over_tls=scheme == "https",
        authorization=authorization,
        setting=setting,
    )


class EnvironmentProxies:
    """What an environment said of proxies when this was made. Later changes go unseen."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        everything = _first(environ, "all_proxy", "ALL_PROXY")
        # A web server hands a client's header "Proxy" to what it starts as HTTP_PROXY.
        of_web_server = "REQUEST_METHOD" in environ
        http = ("http_proxy",) if of_web_server else ("http_proxy", "HTTP_PROXY")
        self._urls = {
            "http": _first(environ, *http) or everything,
            "https": _first(environ, "https_proxy", "HTTPS_PROXY") or everything,
        }
        exempt = _first(environ, "no_proxy", "NO_PROXY")
        entries = [] if exempt is None else _SEPARATORS.split(exempt[1])
        self._exempt = tuple(_Exempt.of(entry) for entry in entries if entry)

    def proxy_for(self, scheme: str, host: str, port: int) -> Proxy | None:
        """The proxy for an origin; None: it is called directly, as this machine always is.

        Raises:
            ProxyUnusable: the one that is set is none that can be used.
        """
        url = self._urls.get(scheme)
        if url is None:
            return None
        name = host.lower().strip("[]").rstrip(".")
        address = _address(name)
        if _is_this_machine(name, address):
            return None
        if any(each.covers(scheme, name, address, port) for each in self._exempt):
            return None
        variable, text = url
        return read_proxy(text, variable)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Exempt:
    """One entry of ``NO_PROXY``, as curl, Go and httpx read them together: ``*``, a host with all
    below it (``example.com``, ``.example.com``), only what is below it (``*.example.com``), an
    address, a network (``10.0.0.0/8``), and each but a network with a port."""

    scheme: str | None = None
    name: str = ""
    """Empty: any."""
    itself: bool = True
    """Whether the host of that name is meant, beside those below it."""
    network: _Network | None = None
    port: int | None = None

    @classmethod
    def of(cls, entry: str) -> _Exempt:
        scheme, separator, rest = entry.lower().partition("://")
        if not separator:
            scheme, rest = "", entry.lower()
        network = _network(rest)
        host, port = rest, None
        if network is None:
            host, port = _split_port(rest)
            network = _network(host.strip("[]"))
        itself = not host.startswith("*.")
        name = host.removeprefix("*").lstrip(".").rstrip(".")
        return cls(
            scheme=scheme if scheme in _DEFAULT_PORTS else None,
            name=name,
            itself=itself,
            network=network,
            port=port,
        )

    def covers(self, scheme: str, name: str, address: _Address | None, port: int) -> bool:
        if self.scheme not in (None, scheme) or self.port not in (None, port):
            return False
        if self.network is not None:
            return address is not None and address in self.network
        if not self.name:
            return True
        return (self.itself and name == self.name) or name.endswith(f".{self.name}")


def _first(environ: Mapping[str, str], *names: str) -> tuple[str, str] | None:
    """The first of these variables that says anything, and what."""
    for name in names:
        if value := environ.get(name, "").strip():
            return name, value
    return None


def _split_port(host: str) -> tuple[str, int | None]:
    if host.startswith("["):
        name, _, port = host.partition("]")
        port = port.removeprefix(":")
    elif host.count(":") == 1:
        name, _, port = host.partition(":")
    else:
        name, port = host, ""
    return (name, int(port)) if port.isascii() and port.isdigit() else (name, None)


def _network(text: str) -> _Network | None:
    try:
        return ipaddress.ip_network(text.strip("[]"), strict=False)
    except ValueError:
        return None


def _address(name: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _is_this_machine(name: str, address: _Address | None) -> bool:
    if address is not None:
        return address.is_loopback or address.is_unspecified
    return name == "localhost" or name.endswith(".localhost")
