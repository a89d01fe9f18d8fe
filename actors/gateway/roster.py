"""Who serves now: the settings, the providers, the catalog, and the actors that look after them.

All of it changes by :meth:`Roster.apply`: what takes time or can fail comes first and changes
nothing, and then everything changes in one step, so that nobody ever sees a half. A session that
has found its targets before goes on with them: its call ends in peace. While it waits, or when it
comes back to wait, a retired :class:`~forebay.actors.jobs.models.Model` sends it to find them
anew.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from random import Random
from typing import Final, NamedTuple, Never, TypeAlias, TypeVar

import httpx
import trio

from forebay.actors.config import ProviderSettings, Settings
from forebay.actors.jobs.models import CloseModel, DescribeModel, Model, ModelActor
from forebay.actors.kernel import (
    Actor,
    ActorState,
    ActorSystem,
    Ref,
    RestartPolicy,
    TellRef,
)
from forebay.actors.model_tables import ModelTables
from forebay.actors.providers.accounts import hosts_of, is_near
from forebay.actors.providers.ledger import Ledger
from forebay.actors.providers.provider import Provider
from forebay.actors.providers.provider_actor import (
    PROVIDER_RESTARTS,
    DescribeProvider,
    ProviderActor,
    give_up_for_now,
)
from forebay.actors.providers.provider_network import ProviderNetwork
from forebay.actors.providers.wall_clock import SYSTEM_CLOCK, WallClock
from forebay.actors.routing.catalog import Catalog
from forebay.actors.upstream import ConnectionStack
from forebay.protocol.providers import PROFILES
from forebay.protocol.providers.base import KnownAs

_CLOSE_SECONDS: Final = 1.0
_RESTARTS: Final = RestartPolicy()

MessageT = TypeVar("MessageT")
ModelRef: TypeAlias = Ref[DescribeModel | CloseModel]
ProviderRef: TypeAlias = Ref[DescribeProvider]


class Layers(NamedTuple):
    """Of the actors."""

    model: int
    provider: int


class _Kind(Enum):
    """Of a place where jobs wait."""

    CONFIGURED = auto()
    OUTRIGHT = auto()
    """Of a provider or a group, whose models are asked for outright."""
    AUTO = auto()
    """Whichever model may serve."""


@dataclass(frozen=True, slots=True)
class _ModelName:
    text: str
    kind: _Kind

    def model_in(self, catalog: Catalog) -> Model:
        match self.kind:
            case _Kind.CONFIGURED:
                return catalog.models[self.text]
            case _Kind.OUTRIGHT:
                return catalog.outright[self.text]
            case _Kind.AUTO:
                return catalog.autos[self.text]

    @property
    def of_actor(self) -> str:
        text = f"{self.text}/*" if self.kind is _Kind.OUTRIGHT else self.text
        return "model:" + text.replace("/", "|")


@dataclass(frozen=True, slots=True)
class _Redefined:
    """A provider that serves on in another way."""

    provider: Provider
    settings: ProviderSettings
    transport: httpx.AsyncBaseTransport


@dataclass(frozen=True, slots=True)
class _Change:
    """What is about to be done."""

    settings: Settings
    providers: dict[str, Provider]
    """All that will serve."""
    catalog: Catalog
    added: list[Provider]
    changed: list[_Redefined]
    retired: list[Provider]
    stacks: list[ConnectionStack]
    """That were made for it."""
    surplus: list[ConnectionStack]
    """That begin no more calls once it is done."""


class Roster:
    """Who serves, as it is configured now."""

    def __init__(
        self,
        settings: Settings,
        network: ProviderNetwork,
        transport: httpx.AsyncBaseTransport | None,
        random: Random,
        ledger: Ledger,
        *,
        layers: Layers,
        tables: ModelTables | None = None,
        wall_clock: WallClock = SYSTEM_CLOCK,
    ) -> None:
        """
        Args:
            transport: carries the calls to all providers; None: each has connections of its own.
            ledger: knows what was learned of providers.
            tables: what the public knows of models; None: nothing.

        Raises:
            ConfigError: a proxy or a certificate file can't be used.
        """
        self.settings = settings
        self._network = network
        self._transport = transport
        self._random = random
        self._ledger = ledger
        self._layers = layers
        self._tables = tables or ModelTables()
        self._wall_clock = wall_clock
        self.providers = {name: self._new_provider(name, settings) for name in settings.providers}
        """By name. The mapping itself never changes: after an ``apply`` there is another one."""
        self.catalog = Catalog(settings, self.providers)
        self._retired: list[Provider] = []
        self._provider_refs: dict[Provider, ProviderRef] = {}
        self._model_refs: dict[_ModelName, ModelRef] = {}
        self._names: dict[str, TellRef[Never]] = {}
        """Of actors that have not ended."""
        self._system: ActorSystem | None = None
        self._numbers = itertools.count(2)
        self.listeners: list[Callable[[Settings], None]] = []
        """Called in the step of every change, with the settings from then on."""
        ledger.providers = self.providers

    # What there is.

    @property
    def retiring(self) -> tuple[Provider, ...]:
        """Providers that are not configured any more, with calls under way."""
        self._retired = [provider for provider in self._retired if provider.pool.in_flight]
        return tuple(self._retired)

    @property
    def actors_of_providers(self) -> Mapping[str, tuple[Provider, ProviderRef]]:
        """Of all that serve."""
        return {
            name: (provider, self._provider_refs[provider])
            for name, provider in self.providers.items()
        }

    @property
    def actors_of_models(self) -> tuple[ModelRef, ...]:
        return tuple(self._model_refs[name] for name in _names_of(self.catalog))

    # Beginning and end.

    async def start(self, system: ActorSystem) -> None:
        """Start the actors of all."""
        await self.read_tables(self.settings)
        self._system = system
        for provider in self.providers.values():
            await self._start_provider(provider)
        for name in _names_of(self.catalog):
            await self._start_model(name)

    async def read_tables(self, settings: Settings) -> None:
        """Have the public tables there, if they may say something of one of the providers."""
        if any(map(_is_in_tables, settings.providers.values())):
            await self._tables.read()

    def close(self, reason: str) -> None:
        """Tell everybody who waits, and everybody who comes, that nobody will be served."""
        for model in self.catalog.all_models:
            model.close(reason)

    async def aclose(self) -> None:
        """Close all connections."""
        transports = {provider.transport for provider in self.providers.values()}
        for transport in {*transports, *filter(None, [self._transport])}:
            await transport.aclose()

    # Change.

    async def apply(self, settings: Settings) -> None:
        """Go on with other settings. If cancelled, all or nothing was changed.

        Raises:
            ConfigError: a proxy or a certificate file can't be used; nothing was changed.
        """
        await self.read_tables(settings)
        change = self._plan(settings)
        async with AsyncExitStack() as undo:
            for stack in change.stacks:
                undo.push_async_callback(stack.aclose)
            if change.retired:
                await self._ledger.save()  # what they have learned, should they come back
            await self._ledger.recall({provider.name: provider for provider in change.added})
            for provider in change.added:
                await self._start_provider(provider)
                undo.callback(self._stop_provider, provider)
            for name in _names_of(change.catalog):
                if name not in self._model_refs:
                    await self._start_model(name)
                    undo.callback(self._stop_model, name)
            self._switch(change)
            undo.pop_all()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE_SECONDS):
            for stack in change.surplus:
                await stack.keep_none()

    def _plan(self, settings: Settings) -> _Change:
        added: list[Provider] = []
        changed: list[_Redefined] = []
        retired: list[Provider] = []
        stacks: list[ConnectionStack] = []
        surplus: list[ConnectionStack] = []
        providers: dict[str, Provider] = {}
        same_shares = settings.scheduling.batch_share == self.settings.scheduling.batch_share
        for name, defined in settings.providers.items():
            old = self.providers.get(name)
            if old is None or not _is_same_server(old.settings, defined):
                providers[name] = provider = self._new_provider(name, settings)
                added.append(provider)
                stacks += self._own_stacks(provider)
                continue
            providers[name] = old
            if old.settings == defined and same_shares:
                continue
            transport = old.transport
            if (old.settings.tls, old.settings.proxy) != (defined.tls, defined.proxy):
                surplus += self._own_stacks(old)
                transport = self._transport_for(name, defined)
                stacks += [transport] if isinstance(transport, ConnectionStack) else []
            changed.append(_Redefined(old, defined, transport))
        for name, provider in self.providers.items():
            if providers.get(name) is not provider:
                retired.append(provider)
                surplus += self._own_stacks(provider)
        catalog = Catalog(settings, providers, before=self.catalog)
        return _Change(settings, providers, catalog, added, changed, retired, stacks, surplus)

    def _switch(self, change: _Change) -> None:
        """The change itself: nothing is awaited in it, and nothing in it fails."""
        before = self.catalog
        share = change.settings.scheduling.batch_share
        for each in change.changed:
            each.provider.change(each.settings, each.transport, share)
        self.settings = change.settings
        self.providers = self._ledger.providers = change.providers
        self.catalog = change.catalog
        for listener in self.listeners:
            listener(change.settings)
        goes_on = set(map(id, change.catalog.all_models))
        for model in before.all_models:
            if id(model) not in goes_on:
                model.retire()
        for provider in change.retired:
            provider.listing.failed("it is not configured any more")
            self._stop_provider(provider)
        self._retired += change.retired
        for name in self._model_refs.keys() - set(_names_of(change.catalog)):
            self._stop_model(name)

    # Parts.

    def _new_provider(self, name: str, settings: Settings) -> Provider:
        defined = settings.providers[name]
        transport = self._transport_for(name, defined)
        share = settings.scheduling.batch_share
        return Provider(
            name,
            defined,
            transport,
            self._random,
            batch_share=share,
            wall_clock=self._wall_clock,
            tables=self._tables,
        )

    def _transport_for(self, name: str, defined: ProviderSettings) -> httpx.AsyncBaseTransport:
        return self._transport or self._network.transport_for(name, defined)

    def _own_stacks(self, provider: Provider) -> list[ConnectionStack]:
        """The connections that are this provider's alone."""
        transport = provider.transport
        if self._transport is not None or not isinstance(transport, ConnectionStack):
            return []
        return [transport]

    async def _start_provider(self, provider: Provider) -> None:
        self._provider_refs[provider] = await self._started(
            partial(ProviderActor, provider),
            f"provider:{provider.name}",
            self._layers.provider,
            restart=PROVIDER_RESTARTS,
            on_rest=partial(give_up_for_now, provider),
        )

    def _stop_provider(self, provider: Provider) -> None:
        # It only grants and lists. Calls under way are the business of their sessions.
        self._provider_refs.pop(provider).abort()

    async def _start_model(self, name: _ModelName) -> None:
        self._model_refs[name] = await self._started(
            partial(ModelActor, partial(self._model_of, name)),
            name.of_actor,
            self._layers.model,
        )

    def _stop_model(self, name: _ModelName) -> None:
        self._model_refs.pop(name).abort()

    def _model_of(self, name: _ModelName) -> Model:
        return name.model_in(self.catalog)

    async def _started(
        self,
        factory: Callable[[], Actor[MessageT]],
        name: str,
        layer: int,
        *,
        restart: RestartPolicy = _RESTARTS,
        on_rest: Callable[[Exception], None] | None = None,
    ) -> Ref[MessageT]:
        """The actor, by this name or, while one that has it comes to its end, by another one."""
        assert self._system is not None, "the actors were not started"
        holder = self._names.get(name)
        if holder is not None and holder.state is not ActorState.STOPPED:
            name = f"{name} ({next(self._numbers)})"
        ref = await self._system.start(
            factory, name=name, layer=layer, restart=restart, on_rest=on_rest
        )
        self._names = {
            each: other
            for each, other in self._names.items()
            if other.state is not ActorState.STOPPED
        }
        self._names[name] = ref
        return ref


def _names_of(catalog: Catalog) -> tuple[_ModelName, ...]:
    return (
        *(_ModelName(name, _Kind.CONFIGURED) for name in catalog.models),
        *(_ModelName(name, _Kind.OUTRIGHT) for name in catalog.outright),
        *(_ModelName(name, _Kind.AUTO) for name in catalog.autos),
    )


def _is_in_tables(defined: ProviderSettings) -> bool:
    known_as = PROFILES[defined.kind].known_as
    return not is_near(defined) if known_as is None else known_as != KnownAs()


def _is_same_server(one: ProviderSettings, other: ProviderSettings) -> bool:
    """What was learned of the one is true of the other."""
    return one.kind == other.kind and not set(hosts_of(one)).isdisjoint(hosts_of(other))
