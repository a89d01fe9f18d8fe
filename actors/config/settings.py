"""The whole configuration, and the rules that tie its sections together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from forebay.actors.config.problems import Fault, Location, broken, did_you_mean
from forebay.actors.config.sections import (
    ClientSettings,
    Defaults,
    Hold,
    ModelSettings,
    ProviderSettings,
    ServerSettings,
    StrictSettings,
    WaitSettings,
)
from forebay.actors.config.values import (
    ModelName,
    Named,
    Section,
    ShortName,
    is_loopback,
    split_target,
)

_ANY_ADDRESS = frozenset({"0.0.0.0", "::"})
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Settings(StrictSettings):
    """Everything that can be configured. Frozen, and valid as a whole.

    Constructing one directly raises :class:`pydantic.ValidationError`;
    :func:`~forebay.actors.config.parse_settings` says the same as a
    :class:`~forebay.actors.config.ConfigError`.
    """

    server: Section[ServerSettings] = ServerSettings()
    wait: Section[WaitSettings] = WaitSettings()
    providers: Named[ShortName, ProviderSettings] = Field(default_factory=dict)
    """By provider name, in the order of the file. May be empty."""
    models: Named[ModelName, ModelSettings] = Field(default_factory=dict)
    """By public name."""
    defaults: Section[Defaults] = Defaults()
    clients: Named[ShortName, ClientSettings] = Field(default_factory=dict)
    """By client name. Empty: everybody who reaches the socket is served."""

    def max_wait_ms_for(
        self,
        *,
        model: str | None = None,
        client: str | None = None,
        requested_ms: int | None = None,
    ) -> int:
        """How long a request may wait without starting.

        The client's setting comes before the model's, and that before the server's. What the
        request itself asks for can only lower the result. Names without settings of their own
        (``provider/model-id``, no client) count as not configured.
        """
        ceiling = self.wait.max_wait_ms
        if model is not None and model in self.models:
            own = self.models[model].max_wait_ms
            ceiling = ceiling if own is None else own
        if client is not None and client in self.clients:
            own = self.clients[client].max_wait_ms
            ceiling = ceiling if own is None else own
        return ceiling if requested_ms is None else min(requested_ms, ceiling)

    def hold_for(
        self, *, model: str | None = None, client: str | None = None, requested: Hold | None = None
    ) -> Hold:
        """How an answer is held: as the request asks, else the client's setting, else the
        model's, else the server's."""
        if requested is not None:
            return requested
        if client is not None and client in self.clients:
            own = self.clients[client].hold
            if own is not None:
                return own
        if model is not None and model in self.models:
            own = self.models[model].hold
            if own is not None:
                return own
        return self.wait.hold

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        faults = [
            *self._dangling_targets(),
            *self._dangling_model_names(),
            *self._shared_client_keys(),
            *self._open_door(),
            *self._loops(),
        ]
        if faults:
            raise broken(*faults)
        return self

    def _dangling_targets(self) -> Iterator[Fault]:
        for name, model in self.models.items():
            for index, target in enumerate(model.targets):
                provider, _ = split_target(target)
                if provider not in self.providers:
                    yield Fault(
                        at=("models", name, "targets", index),
                        message="names a provider that is not configured",
                        fix=self._known_providers(provider),
                        echo=True,
                    )

    def _known_providers(self, wrong: str) -> str:
        if not self.providers:
            return "there are none yet: add it under providers"
        nearest = did_you_mean(wrong, self.providers)
        return nearest or f"there are: {', '.join(self.providers)}"

    def _dangling_model_names(self) -> Iterator[Fault]:
        for dialect, name in self.defaults.by_dialect().items():
            if name is not None:
                yield from self._dangling_model_name(name, ("defaults", dialect))
        for client_name, client in self.clients.items():
            for index, name in enumerate(client.models or ()):
                yield from self._dangling_model_name(
                    name, ("clients", client_name, "models", index)
                )

    def _dangling_model_name(self, name: str, at: Location) -> Iterator[Fault]:
        provider, _, model_id = name.partition("/")
        if name not in self.models and not (provider in self.providers and model_id):
            yield Fault(
                at=at,
                message="names no model, and no provider/model-id of a configured provider",
                fix=did_you_mean(name, self.models),
                echo=True,
            )

    def _shared_client_keys(self) -> Iterator[Fault]:
        holders: dict[str, str] = {}
        for name, client in self.clients.items():
            holder = holders.setdefault(client.key.get_secret_value(), name)
            if holder != name:
                yield Fault(
                    at=("clients", name, "key"),
                    message=f"is the same as the key of {holder}; every client needs its own",
                )

    def _open_door(self) -> Iterator[Fault]:
        if not self.clients and not is_loopback(self.server.host):
            yield Fault(
                at=("server", "host"),
                message="lets others in without a key",
                fix="add clients, or listen at 127.0.0.1",
                echo=True,
            )

    def _loops(self) -> Iterator[Fault]:
        # Whoever points their SDKs at the gateway has OPENAI_BASE_URL or OLLAMA_HOST set to it.
        for name, provider in self.providers.items():
            if provider.base_url is not None and self._is_own_address(provider.base_url):
                yield _loop(("providers", name, "base_url"))
            for index, host in enumerate(provider.hosts or ()):
                if self._is_own_address(host):
                    yield _loop(("providers", name, "hosts", index))

    def _is_own_address(self, url: str) -> bool:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if (
            self.server.port == 0
            or (parts.port or _DEFAULT_PORTS[parts.scheme]) != self.server.port
        ):
            return False
        own = self.server.host.lower()
        return host == own or (is_loopback(host) and (own in _ANY_ADDRESS or is_loopback(own)))


def _loop(at: Location) -> Fault:
    return Fault(
        at=at,
        message="is the address of this gateway itself",
        fix="give the provider's own address, or another server.port",
    )
