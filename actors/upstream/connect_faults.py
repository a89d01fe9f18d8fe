"""What keeps a connection from standing, as far as its operator can mend it.

Each fault is told apart here, by what OpenSSL and proxies say. Its words are
`http_errors.py`'s, what to do about it is for who knows the settings.
"""

from __future__ import annotations

import ssl
from enum import Enum, auto
from typing import Final

import httpcore


class ConnectFault(Enum):
    """Of who is called, or of the proxy on the way there."""

    UNTRUSTED = auto()
    """Its certificate comes from nobody who is trusted here."""
    EXPIRED = auto()
    """Its certificate is of another time."""
    OTHER_NAME = auto()
    """Its certificate is for other names."""
    WANTS_CERTIFICATE = auto()
    """It wants to see a client certificate, and there is none. A server of TLS 1.2 does not say
    what it is that it wants."""
    REFUSES_CERTIFICATE = auto()
    """It does not take the client certificate."""
    NO_TLS = auto()
    """It does not speak TLS there."""
    PROXY_AWAY = auto()
    """The proxy can't be connected to."""
    PROXY_TLS = auto()
    """The proxy can be connected to, but not by TLS."""
    PROXY_WANTS_PASSWORD = auto()
    """The proxy wants a user name and a password, or others."""
    PROXY_REFUSES = auto()
    """The proxy does not connect to that address."""


class ProxyFailed(httpcore.ConnectError):
    """A proxy led nowhere. The message names it, and nothing secret."""

    def __init__(self, message: str, fault: ConnectFault, setting: str) -> None:
        """``setting`` is where the proxy was configured."""
        super().__init__(message)
        self.fault = fault
        self.setting = setting


_EXPIRED_CODES: Final = frozenset({9, 10})
"""X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED."""
_OTHER_NAME_CODES: Final = frozenset({62, 64})
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""

_REASONS: Final = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": ConnectFault.WANTS_CERTIFICATE,
    "SSLV3_ALERT_HANDSHAKE_FAILURE": ConnectFault.WANTS_CERTIFICATE,
    "TLSV1_ALERT_UNKNOWN_CA": ConnectFault.REFUSES_CERTIFICATE,
    "SSLV3_ALERT_BAD_CERTIFICATE": ConnectFault.REFUSES_CERTIFICATE,
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": ConnectFault.REFUSES_CERTIFICATE,
    "SSLV3_ALERT_CERTIFICATE_REVOKED": ConnectFault.REFUSES_CERTIFICATE,
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": ConnectFault.REFUSES_CERTIFICATE,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": ConnectFault.REFUSES_CERTIFICATE,
    "TLSV1_ALERT_ACCESS_DENIED": ConnectFault.REFUSES_CERTIFICATE,
    "WRONG_VERSION_NUMBER": ConnectFault.NO_TLS,
    "HTTP_REQUEST": ConnectFault.NO_TLS,
    "PACKET_LENGTH_TOO_LONG": ConnectFault.NO_TLS,
    "RECORD_LAYER_FAILURE": ConnectFault.NO_TLS,
}


def tls_fault(error: ssl.SSLError) -> ConnectFault | None:
    """None: nothing that a setting mends."""
    if getattr(error, "verify_message", None):
        code = getattr(error, "verify_code", 0)
        if code in _EXPIRED_CODES:
            return ConnectFault.EXPIRED
        return ConnectFault.OTHER_NAME if code in _OTHER_NAME_CODES else ConnectFault.UNTRUSTED
    return _REASONS.get(getattr(error, "reason", None) or "")
