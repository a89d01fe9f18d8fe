"""Rules that tie the settings of one provider together. Locations count from the provider."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from forebay.actors.config.problems import Fault
from forebay.actors.config.views import View
from forebay.protocol.providers import PROFILES

_CREDENTIAL_HEADERS: Final = frozenset({"authorization", "x-api-key", "api-key"})
_TLS_FILES: Final = ("ca_file", "client_cert", "client_key")
_NO: Final = frozenset({"false", "no", "off", "0", "f", "n"})
"""As pydantic reads them."""


def within_provider(provider: View) -> Iterator[Fault]:
    kind = provider.text("kind")
    profile = None if kind is None else PROFILES.get(kind)
    if profile is None:
        return
    if provider.given("hosts"):
        hosts = [host.rstrip("/") for _, host in provider.items("hosts")]
        if not profile.takes_hosts:
            yield Fault(
                at=("hosts",),
                message=f"is not for providers of kind {kind}",
                fix="use base_url, and one provider for each server",
            )
        elif provider.given("base_url"):
            yield Fault(at=("hosts",), message="and base_url exclude each other", fix="keep one")
        if len(set(hosts)) < len(hosts):
            yield Fault(at=("hosts",), message="names a host twice")
    elif not provider.given("base_url") and profile.default_base_url is None:
        yield Fault(at=("base_url",), message=f"is required for providers of kind {kind}")
    credentials = {name.lower() for name in provider.names("headers")} & _CREDENTIAL_HEADERS
    needs_key = profile.needs_key and (
        profile.needs_key_elsewhere or not provider.given("base_url")
    )
    if needs_key and not provider.given("api_key") and not credentials:
        yield Fault(
            at=("api_key",),
            message=f"is required for providers of kind {kind}",
            fix='write it as in api_key: "${NAME}", with the key in the environment',
        )
    yield from _within_tls(provider)


def within_target(target: View) -> Iterator[Fault]:
    """Of one model of a provider; locations count from the model."""
    able = {capability for _, capability in target.items("capabilities")}
    for index, capability in target.items("lacks"):
        if capability in able:
            yield Fault(
                at=("lacks", index),
                message="is among the capabilities, too",
                fix="keep it in one of the two lists",
                echo=True,
            )


def _within_tls(provider: View) -> Iterator[Fault]:
    is_unverified = _is_no(provider.known("tls", "verify"))
    urls = [provider.text("base_url"), *(host for _, host in provider.items("hosts"))]
    known = [url for url in urls if url is not None]
    if (
        (is_unverified or any(provider.given("tls", name) for name in _TLS_FILES))
        and known
        and not any(url.startswith("https:") for url in known)
    ):
        yield Fault(
            at=("tls",),
            message="is of no use: no address of this provider begins with https://",
            fix="write https:// there, or remove it",
        )
    if is_unverified and provider.given("tls", "ca_file"):
        yield Fault(
            at=("tls", "ca_file"), message="and verify: false exclude each other", fix="keep one"
        )
    for name in ("client_key", "client_key_password"):
        if provider.given("tls", name) and not provider.given("tls", "client_cert"):
            yield Fault(at=("tls", name), message="is of no use without client_cert")


def _is_no(value: object) -> bool:
    """A bool may be written as text."""
    return value is False or (isinstance(value, str) and value.lower() in _NO)
