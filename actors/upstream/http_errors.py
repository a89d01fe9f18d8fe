"""The one place where errors of httpcore and h11 become errors of httpx.

Their messages are written here and not passed on: a protocol error quotes the bytes at fault, and
those may be a header with a key in it.
"""

from __future__ import annotations

import os
import socket
import ssl
from typing import Final

import h11
import httpcore
import httpx

from forebay.actors.upstream.connect_faults import ConnectFault, ProxyFailed, tls_fault


class Unreachable(httpx.ConnectError):
    """No connection, for a reason that its operator can do something about."""

    def __init__(self, message: str, fault: ConnectFault, setting: str | None = None) -> None:
        """``setting`` is what configures the proxy, where that is at fault."""
        super().__init__(message)
        self.fault = fault
        self.setting = setting


_HTTPX_ERRORS: Final[dict[type[Exception], tuple[type[httpx.TransportError], str]]] = {
    httpcore.ConnectTimeout: (httpx.ConnectTimeout, "connecting to {peer} took too long"),
    httpcore.ConnectError: (httpx.ConnectError, "could not connect to {peer}"),
    httpcore.ReadTimeout: (httpx.ReadTimeout, "{peer} sent nothing for too long"),
    httpcore.ReadError: (httpx.ReadError, "the connection to {peer} broke"),
    httpcore.WriteTimeout: (httpx.WriteTimeout, "{peer} took too long to take the request"),
    httpcore.WriteError: (httpx.WriteError, "the connection to {peer} broke"),
    httpcore.LocalProtocolError: (
        httpx.LocalProtocolError,
        "the request to {peer} was not sent: its method, path or a header holds a character that "
        "HTTP does not allow (look at the provider's key and extra headers)",
    ),
    httpcore.RemoteProtocolError: (
        httpx.RemoteProtocolError,
        "{peer} closed the connection early or sent something that is not HTTP/1.1",
    ),
    h11.RemoteProtocolError: (
        httpx.RemoteProtocolError,
        "{peer} closed the connection early or sent something that is not HTTP/1.1",
    ),
}


def as_httpx_error(error: Exception, peer: str) -> httpx.TransportError:
    """What an httpx transport raises for ``error`` of httpcore or h11, met talking to ``peer``."""
    if isinstance(error, ProxyFailed):
        return Unreachable(str(error), error.fault, error.setting)
    kind, text = next(_HTTPX_ERRORS[base] for base in type(error).__mro__ if base in _HTTPX_ERRORS)
    message = text.format(peer=peer)
    reason = system_reason(error)
    if reason:
        message = f"{message}: {reason}"
    fault = _fault_behind(error)
    # By TLS 1.3 a server says only after the handshake that it does not take the client's
    # certificate: no request has been served then, either.
    if fault is not None and (kind is httpx.ConnectError or fault in _SAID_LATE):
        return Unreachable(message, fault)
    return kind(message)


_SAID_LATE: Final = frozenset({ConnectFault.WANTS_CERTIFICATE, ConnectFault.REFUSES_CERTIFICATE})


def _fault_behind(error: BaseException) -> ConnectFault | None:
    current: BaseException | None = error
    while current is not None:
        if isinstance(current, ssl.SSLError):
            return tls_fault(current)
        if isinstance(current, BaseExceptionGroup):
            current = current.exceptions[-1]
        else:
            current = current.__cause__
    return None


def system_reason(error: BaseException) -> str:
    """What the operating system or OpenSSL said, from the bottom of the chain of causes.

    Only their words are repeated: the text of any other error may quote the request.
    """
    reason = ""
    current: BaseException | None = error
    while current is not None:
        if isinstance(current, ssl.SSLError):
            reason = _tls_reason(current)
        elif isinstance(current, socket.gaierror) and current.strerror:
            reason = current.strerror
        elif isinstance(current, OSError) and current.errno is not None:
            reason = os.strerror(current.errno)  # trio's own text repeats the address
        if isinstance(current, BaseExceptionGroup):
            current = current.exceptions[-1]
        else:
            current = current.__cause__
    return reason


def _tls_reason(error: ssl.SSLError) -> str:
    # Only errors that OpenSSL made have these; its reasons look like SSLV3_ALERT_HANDSHAKE_FAILURE.
    if untrusted := getattr(error, "verify_message", None):
        return f"its certificate is not trusted: {untrusted}"
    reason = getattr(error, "reason", None)
    return f"TLS: {reason.replace('_', ' ').lower()}" if reason else "TLS failed"
