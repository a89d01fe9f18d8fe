"""The whole configuration, and who decides where several sections have a say."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from forebay.actors.config.agreement import View, between_sections
from forebay.actors.config.problems import broken
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
)


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
        faults = list(between_sections(View(self)))
        if faults:
            raise broken(*faults)
        return self
