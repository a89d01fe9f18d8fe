"""What operators are told of a call without an answer: the cause, and the setting that mends it."""

from __future__ import annotations

from typing import Final

from forebay.actors.upstream import ConnectFailed, ConnectFault, UpstreamFailure

_ADVICE: Final = {
    ConnectFault.UNTRUSTED: (
        "give the authority that it comes from in providers.{name}.tls.ca_file"
    ),
    ConnectFault.EXPIRED: "have it renewed, and look at this machine's clock",
    ConnectFault.OTHER_NAME: (
        "call the server by a name that stands in its certificate: "
        "providers.{name}.base_url or hosts"
    ),
    ConnectFault.WANTS_CERTIFICATE: (
        "it may want to know who calls: set providers.{name}.tls.client_cert and client_key"
    ),
    ConnectFault.REFUSES_CERTIFICATE: (
        "it does not take the certificate in providers.{name}.tls.client_cert, or wants one"
    ),
    ConnectFault.NO_TLS: (
        "it speaks no TLS there: should providers.{name}.base_url or hosts begin with http://?"
    ),
    ConnectFault.PROXY_AWAY: "the proxy is that of {setting}",
    ConnectFault.PROXY_TLS: (
        "the proxy is that of {setting}: should it begin with http://? The system must trust the "
        "proxy's certificate"
    ),
    ConnectFault.PROXY_WANTS_PASSWORD: "write http://USER:PASSWORD@HOST:PORT in {setting}",
    ConnectFault.PROXY_REFUSES: (
        "the proxy is that of {setting}: have it let this address pass, or go around it with "
        "NO_PROXY or providers.{name}.proxy: none"
    ),
}


def told_to_operators(failure: UpstreamFailure, provider: str) -> str:
    """In one line, without secrets; with addresses, so not for clients."""
    message = str(failure)
    if not isinstance(failure, ConnectFailed) or failure.fault is None:
        return message
    advice = _ADVICE[failure.fault].format(name=provider, setting=failure.setting)
    return f"{message}; {advice}"
