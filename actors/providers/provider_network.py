"""How each provider is connected to: with what TLS, and through which proxy.

It turns settings and the environment into transports; what becomes of connections is
:mod:`forebay.actors.upstream.connections`'s business.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from urllib.parse import urlsplit

from forebay.actors.config import (
    NO_PROXY,
    ConfigError,
    Problem,
    ProviderSettings,
    tls_options,
)
from forebay.actors.upstream.connections import ConnectionStack, ProxyFor
from forebay.actors.upstream.proxies import EnvironmentProxies, ProxyUnusable, read_proxy
from forebay.actors.upstream.tls import TlsFileWrong, client_context
from forebay.protocol.providers import PROFILES

_log = logging.getLogger("forebay.provider")

_DEFAULT_PORTS = {"http": 80, "https": 443}


class ProviderNetwork:
    """Makes the connections of providers. Knows the environment's proxies as they were when it
    was made."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._proxies = EnvironmentProxies(environ)

    def transport_for(self, name: str, settings: ProviderSettings) -> ConnectionStack:
        """Connections for one provider, and for no other: what it trusts and as whom it comes is
        its own. Whoever gets them closes them. Reads certificate files, which takes a moment.

        Raises:
            ConfigError: a certificate file can't be used, or what stands for a proxy can't.
        """
        proxy_for = self._proxy_for(name, settings)
        try:
            for scheme, host, port in _origins(settings):
                proxy_for(scheme, host, port)
        except ProxyUnusable as fault:
            raise ConfigError(
                [
                    Problem(
                        path=fault.setting,
                        message=str(fault),
                        fix=f"correct it, or set providers.{name}.proxy",
                    )
                ],
                source="environment",
            ) from None
        try:
            context = client_context(tls_options(settings.tls))
        except TlsFileWrong as fault:
            path = f"providers.{name}.tls.{fault.option}"
            raise ConfigError(
                [Problem(path=path, message=str(fault), fix=fault.fix)], source="settings"
            ) from None
        if not settings.tls.verify:
            _log.warning(
                "provider %s: whoever answers is taken for it, and is sent its key "
                "(providers.%s.tls.verify is false)",
                name,
                name,
            )
        return ConnectionStack(ssl_context=context, proxy_for=proxy_for)

    def _proxy_for(self, name: str, settings: ProviderSettings) -> ProxyFor:
        if settings.proxy is None:
            return self._proxies.proxy_for
        url = settings.proxy.get_secret_value()
        proxy = None if url == NO_PROXY else read_proxy(url, f"providers.{name}.proxy")
        return lambda scheme, host, port: proxy


def _origins(settings: ProviderSettings) -> list[tuple[str, str, int]]:
    default = PROFILES[settings.kind].default_base_url
    urls = settings.hosts or (settings.base_url or default or "",)
    parts = [urlsplit(url) for url in urls]
    return [
        (part.scheme, part.hostname, part.port or _DEFAULT_PORTS[part.scheme])
        for part in parts
        if part.hostname
    ]
