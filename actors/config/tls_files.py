"""The certificate files that settings name: where they are, and whether they can be used."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Final

from forebay.actors.config.problems import Fault
from forebay.actors.config.provider_sections import TlsSettings
from forebay.actors.config.settings import Settings
from forebay.actors.upstream.tls import TlsFileWrong, TlsOptions, client_context

_PATHS: Final = ("ca_file", "client_cert", "client_key")


def tls_options(tls: TlsSettings) -> TlsOptions:
    """What ``tls`` says, for who makes the connections."""
    password = tls.client_key_password
    return TlsOptions(
        ca_file=tls.ca_file,
        client_cert=tls.client_cert,
        client_key=tls.client_key,
        client_key_password=None if password is None else password.get_secret_value(),
        verify=tls.verify,
    )


def with_paths_from(folder: Path, settings: Settings) -> Settings:
    """The same settings; their certificate files are looked for in ``folder``."""
    providers = {
        name: provider.model_copy(update={"tls": _from(folder, provider.tls)})
        for name, provider in settings.providers.items()
    }
    return settings.model_copy(update={"providers": MappingProxyType(providers)})


def tls_file_faults(settings: Settings) -> Iterator[Fault]:
    """What is wrong with the files; reads them. Locations count from the top."""
    for name, provider in settings.providers.items():
        if provider.tls == TlsSettings():
            continue
        try:
            client_context(tls_options(provider.tls))
        except TlsFileWrong as wrong:
            yield Fault(
                at=("providers", name, "tls", wrong.option),
                message=str(wrong),
                fix=wrong.fix,
                echo=wrong.option in _PATHS,
            )


def _from(folder: Path, tls: TlsSettings) -> TlsSettings:
    paths = {
        field: os.fspath(folder / Path(path).expanduser())
        for field in _PATHS
        if (path := getattr(tls, field)) is not None
    }
    return tls.model_copy(update=paths)
