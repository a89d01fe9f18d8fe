"""Whom connections trust, and as whom they come: contexts for TLS, made of files.

It owns what is wrong with these files. What it does not: which provider has which
(:mod:`forebay.actors.providers.provider_network`), and handshakes that fail (`connect_faults.py`).
"""

from __future__ import annotations

import os
import ssl
import sys
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

_BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Where Linux and BSD systems keep the authorities that they trust. Python's own OpenSSL knows the
place on the system that it was built for, which need not be this one."""

_CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----"
_PRIVATE_KEY: Final = b"PRIVATE KEY-----"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsOptions:
    """What a provider's connections do differently; paths of PEM files."""

    ca_file: str | None = None
    """The authorities that are trusted, instead of the system's."""
    client_cert: str | None = None
    """With the certificates that lead to it, itself first; may hold the key as well."""
    client_key: str | None = None
    """None: it is in ``client_cert``."""
    client_key_password: str | None = field(default=None, repr=False)
    verify: bool = True
    """False: whoever answers is taken for the server."""


class TlsFileWrong(Exception):
    """A file can't be used; the message says why and names no secret."""

    def __init__(self, option: str, message: str, fix: str | None = None) -> None:
        """``option`` is the field of :class:`TlsOptions` that is at fault."""
        super().__init__(message)
        self.option = option
        self.fix = fix


@lru_cache(maxsize=1)
def system_trust() -> ssl.SSLContext:
    """Trusts whom this system trusts. One for all who have no options of their own."""
    return _like_system_trust()


def _like_system_trust() -> ssl.SSLContext:
    """One of one's own, to add to.

    On macOS and Windows the system itself is asked, at every handshake. Elsewhere its authorities
    are read once: reading them for each connection costs 20 ms of CPU. ``SSL_CERT_FILE`` and
    ``SSL_CERT_DIR`` come before the system's.
    """
    if sys.platform == "darwin" or sys.platform == "win32":
        import truststore

        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    known = ssl.get_default_verify_paths()
    bundle = next(filter(os.path.isfile, _BUNDLES), None)
    if known.cafile or _has_files(known.capath) or bundle is None:
        context.set_default_verify_paths()
    else:
        context.load_verify_locations(bundle)
    return context


def client_context(options: TlsOptions) -> ssl.SSLContext:
    """The context for connections with these options. Reads their files, which takes a moment.

    Not kept: called again, it sees files that were replaced.

    Raises:
        TlsFileWrong: one of the files can't be read, or used.
    """
    if options == TlsOptions():
        return system_trust()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not options.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif options.ca_file is not None:
        _trust(context, options.ca_file)
    else:
        context = _like_system_trust()
    if options.client_cert is not None:
        _identify(context, options, options.client_cert)
    return context


def _has_files(folder: str | None) -> bool:
    """Whether certificates lie there under the names by which OpenSSL looks for them."""
    if not folder:
        return False
    try:
        with os.scandir(folder) as entries:
            return any(entry.name.endswith(".0") for entry in entries)
    except OSError:
        return False


def _trust(context: ssl.SSLContext, path: str) -> None:
    if _CERTIFICATE not in _read("ca_file", path):
        raise TlsFileWrong("ca_file", "holds no certificate in PEM form", _as_pem())
    try:
        context.load_verify_locations(path)
    except (ssl.SSLError, OSError):
        raise TlsFileWrong("ca_file", "holds a certificate that can't be read") from None
    # Whatever stands in the file is trusted: also an authority between the root and the server.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN


def _identify(context: ssl.SSLContext, options: TlsOptions, cert: str) -> None:
    if _CERTIFICATE not in (certificate := _read("client_cert", cert)):
        raise TlsFileWrong("client_cert", "holds no certificate in PEM form", _as_pem())
    key = cert
    if options.client_key is None:
        if _PRIVATE_KEY not in certificate:
            raise TlsFileWrong(
                "client_cert",
                "holds no private key",
                "name the file of the key in client_key",
            )
    else:
        key = options.client_key
        if _PRIVATE_KEY not in _read("client_key", key):
            raise TlsFileWrong("client_key", "holds no private key in PEM form")
    where = "client_cert" if options.client_key is None else "client_key"
    password = _Password(options.client_key_password)
    try:
        context.load_cert_chain(cert, key, password)
    except _PasswordMissing:
        raise TlsFileWrong(
            where, "is encrypted", "give the key's password in client_key_password"
        ) from None
    except (ssl.SSLError, OSError, ValueError) as fault:
        if password.was_used:
            raise TlsFileWrong("client_key_password", f"does not open {where}") from None
        if getattr(fault, "reason", None) == "KEY_VALUES_MISMATCH":
            raise TlsFileWrong(where, "is not the key of client_cert") from None
        raise TlsFileWrong(where, "holds a certificate or a key that can't be read") from None


class _PasswordMissing(Exception):
    """Without this, OpenSSL would ask for it at the terminal."""


class _Password:
    def __init__(self, text: str | None) -> None:
        self._text = text
        self.was_used = False

    def __call__(self) -> str:
        if self._text is None:
            raise _PasswordMissing
        self.was_used = True
        return self._text


def _read(option: str, path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as fault:
        raise TlsFileWrong(option, f"can't be read: {fault.strerror}") from None


def _as_pem() -> str:
    return "openssl x509 -inform der -in FILE makes one of a binary file"
