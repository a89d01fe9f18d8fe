"""The whole configuration, and who decides where several sections have a say."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from forebay.actors.config.agreement import between_sections
from forebay.actors.config.problems import broken
from forebay.actors.config.provider_sections import ProviderSettings
from forebay.actors.config.sections import (
    AutoSettings,
    ClientSettings,
    Defaults,
    Hold,
    ImageSettings,
    ModelSettings,
    OnUnsupported,
    SchedulingSettings,
    ServerSettings,
    StateSettings,
    WaitSettings,
)
from forebay.actors.config.strict_sections import StrictSettings
from forebay.actors.config.values import (
    AliasName,
    ModelName,
    Named,
    Section,
    ShortName,
    SomeOf,
    split_target,
)
from forebay.actors.config.views import View


class Settings(StrictSettings):
    """Everything that can be configured. Frozen, and valid as a whole.

    Constructing one directly raises :class:`pydantic.ValidationError`;
    :func:`~forebay.actors.config.parse_settings` says the same as a
    :class:`~forebay.actors.config.ConfigError`.
    """

    server: Section[ServerSettings] = ServerSettings()
    wait: Section[WaitSettings] = WaitSettings()
    scheduling: Section[SchedulingSettings] = SchedulingSettings()
    images: Section[ImageSettings] = ImageSettings()
    state: Section[StateSettings] = StateSettings()
    providers: Named[ShortName, ProviderSettings] = Field(default_factory=dict)
    """By provider name, in the order of the file. May be empty."""
    groups: Named[ShortName, SomeOf[ShortName]] = Field(default_factory=dict)
    """By name: providers that are one target set, in order of preference."""
    models: Named[ModelName, ModelSettings] = Field(default_factory=dict)
    """By public name, which may have a star."""
    aliases: Named[AliasName, ModelName] = Field(default_factory=dict)
    """What other names stand for, in the order of the file."""
    auto: Section[AutoSettings] = AutoSettings()
    defaults: Section[Defaults] = Defaults()
    clients: Named[ShortName, ClientSettings] = Field(default_factory=dict)
    """By client name. Empty: everybody who reaches the socket is served."""

    def targets_of(self, model: str) -> tuple[str, ...]:
        """``provider/model-id`` of all that serve a configured model, in order of preference; of a
        group each of its providers."""
        written = self.models[model].targets
        return tuple(dict.fromkeys(each for target in written for each in self.members_of(target)))

    def names_of(self, client: str) -> tuple[str, ...] | None:
        """The models that a client may ask for, with what their plain aliases stand for instead of
        these; None: all."""
        names = self.clients[client].models
        return None if names is None else tuple(self.aliases.get(name, name) for name in names)

    @property
    def clients_with_auto(self) -> tuple[str, ...]:
        """Those for whom a model is chosen in a way of their own."""
        return tuple(name for name, client in self.clients.items() if client.auto is not None)

    def auto_for(self, client: str) -> AutoSettings:
        """How a model is chosen for a client that asks for ``auto``."""
        own = self.clients[client].auto if client in self.clients else None
        if own is None:
            return self.auto
        return self.auto.model_copy(
            update={name: getattr(own, name) for name in own.model_fields_set}
        )

    def weights_of(self, model: str) -> dict[str, float]:
        """By ``provider/model-id``, where the model's strategy goes by weights. The providers of a
        group share its weight equally."""
        settings = self.models[model]
        weights: dict[str, float] = {}
        for target, weight in zip(settings.targets, settings.weights or (), strict=False):
            members = self.members_of(target)
            for each in members:
                weights[each] = weights.get(each, 0.0) + weight / len(members)
        return weights

    def members_of(self, target: str) -> tuple[str, ...]:
        """What a target stands for: itself, or with a group's name the same model at each of the
        group's providers."""
        name, model_id = split_target(target)
        if name not in self.groups:
            return (target,)
        return tuple(f"{provider}/{model_id}" for provider in self.groups[name])

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
        said = (requested, *(section.hold for section in self._own_sections(model, client)))
        return next((hold for hold in said if hold is not None), self.wait.hold)

    def on_unsupported_for(
        self,
        *,
        model: str | None = None,
        client: str | None = None,
        requested: OnUnsupported | None = None,
    ) -> OnUnsupported:
        """What becomes of what a target can't be told: as the request asks, else the client's
        setting, else the model's, else the default."""
        own = (section.on_unsupported for section in self._own_sections(model, client))
        said = (requested, *own)
        return next((what for what in said if what is not None), self.defaults.on_unsupported)

    def _own_sections(
        self, model: str | None, client: str | None
    ) -> tuple[ClientSettings | ModelSettings, ...]:
        """What is configured for the client, then what is for the model."""
        sections = (self.clients.get(client or ""), self.models.get(model or ""))
        return tuple(section for section in sections if section is not None)

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        faults = list(between_sections(View(self)))
        if faults:
            raise broken(*faults)
        return self
