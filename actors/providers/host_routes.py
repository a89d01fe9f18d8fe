"""The ways to a provider's models: one for each host that has the model.

A host has slots of its own, whatever model is asked, and each model at it what is learned there.
Hosts that don't list a model are left out of its routes; what was learned at them is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import inf
from random import Random
from typing import Final

import trio

from forebay.actors.config import ProviderSettings
from forebay.actors.providers.accounts import hosts_of
from forebay.actors.providers.budgets import carried_on, is_configured_limit, slot_gates
from forebay.actors.providers.host_models import HostModels
from forebay.actors.scheduling.breaker import CircuitBreaker
from forebay.actors.scheduling.cooldown import Cooldown
from forebay.actors.scheduling.gates import Gate
from forebay.actors.scheduling.learned import LearnedLimit
from forebay.actors.scheduling.recovery import Recovery
from forebay.actors.scheduling.slots import SlotGate
from forebay.actors.scheduling.targets import HostLoad, Route
from forebay.protocol.canonical.listed_models import ListedModel
from forebay.protocol.providers import PROFILES

_TOLD_SLOTS: Final = "slots (told)"
_COLD_START: Final = 1_000_000
"""In calls under way at a host: more than there ever are. So a host that has the model loaded is
taken as long as it has room."""
_COLD_START_UNBOUNDED: Final = 4
"""Where hosts have no configured slots, and so always room as far as anybody knows."""


class HostRoutes:
    """Of one provider."""

    def __init__(
        self,
        name: str,
        settings: ProviderSettings,
        random: Random,
        watch: Callable[[str, Recovery], None],
    ) -> None:
        """
        Args:
            name: of the provider, which gates are named after.
            watch: has it found out whether a host is well, whenever the gate is in doubt.
        """
        self._name = name
        self._settings = settings
        self._profile = PROFILES[settings.kind]
        self._random = random
        self._watch = watch
        self.hosts = hosts_of(settings)
        """Base URLs of the provider's servers."""
        self.slots: dict[str, tuple[Gate, ...]] = {
            host: self._slots_of(number) for number, host in enumerate(self.hosts, 1)
        }
        """By host: what is configured, and what the host tells."""
        self._told_slots: dict[str, SlotGate] = {}
        self.models = HostModels()
        self._loads = {host: HostLoad() for host in self.hosts}
        self._weigh_cold_starts()
        self._routes: dict[str, dict[str, Route]] = {}
        """By model and host, also of hosts that lack the model."""

    def make(self, model_id: str) -> list[Route]:
        """The routes of a model, anew or as they are after a change; what was learned is kept."""
        known = self._routes.get(model_id, {})
        self._routes[model_id] = {
            host: self._route(model_id, number, known.get(host))
            for number, host in enumerate(self.hosts, 1)
        }
        return self.able(model_id)

    def able(self, model_id: str) -> list[Route]:
        """The routes of a model by the hosts that have it."""
        routes = self._routes[model_id]
        return [routes[host] for host in self.models.able(model_id, self.hosts)]

    def forget(self, model_id: str) -> None:
        """The model is no target any more."""
        del self._routes[model_id]

    def change(self, settings: ProviderSettings, now: float) -> None:
        """Go on with other settings. Then all routes are to be made anew."""
        self._settings = settings
        self.hosts = hosts_of(settings)
        self.models.keep_only(self.hosts)
        self._told_slots = {h: g for h, g in self._told_slots.items() if h in self.hosts}
        configured = {
            host: carried_on(self._named_anew(host, number), self._slots_of(number), now)
            for number, host in enumerate(self.hosts, 1)
        }
        self.slots = {host: self._with_told(host, slots) for host, slots in configured.items()}
        self._loads = {host: self._loads.get(host) or HostLoad() for host in self.hosts}
        self._weigh_cold_starts()

    def list(self, listings: Mapping[str, Iterable[ListedModel]]) -> None:
        """These hosts have told what models they have."""
        self.models.list(listings)

    def tell_slots(self, told: Mapping[str, int]) -> bool:
        """Hosts have told how many calls at once they take; whether there are other gates now, so
        that all routes are to be made anew. What is configured is never raised."""
        before = self.slots
        for number, host in enumerate(self.hosts, 1):
            gate = self._told_slots.get(host)
            if host not in told:
                self._told_slots.pop(host, None)
            elif gate is None:
                name = f"{self._at(self._name, number)}: {_TOLD_SLOTS}"
                self._told_slots[host] = SlotGate(name, told[host])
            else:
                gate.change(told[host])
        self.slots = {host: self._with_told(host, slots) for host, slots in before.items()}
        return self.slots != before

    def _with_told(self, host: str, slots: tuple[Gate, ...]) -> tuple[Gate, ...]:
        configured = tuple(gate for gate in slots if not gate.name.endswith(_TOLD_SLOTS))
        told = self._told_slots.get(host)
        most = self._settings.limits.concurrency
        if told is None or (most is not None and most <= told.slots):
            return configured
        return (*configured, told)

    def tell_loaded(self, host: str, stays: Mapping[str, float], asked_at: float) -> None:
        """As :meth:`HostModels.tell_loaded`, now."""
        now = trio.current_time()
        self.models.tell_loaded(host, stays, asked_at=asked_at, now=now)
        for model_id, routes in self._routes.items():
            if host in routes:
                routes[host].warm_until = self.models.warm_until(host, model_id)

    def answered(self, route: Route, model_id: str, request: bytes) -> None:
        """The model has answered this request, at the route's host."""
        loaded = self._profile.loaded_models
        if loaded is None or len(self.hosts) == 1:
            return
        stay = loaded.stay_after(request)
        self.models.answered(route.host, model_id, stay, trio.current_time())
        route.warm_until = self.models.warm_until(route.host, model_id)

    def loaded(self, now: float) -> dict[str, tuple[str, ...]]:
        """By host, what several hosts that tell it have in memory."""
        if self._profile.loaded_models is None or len(self.hosts) == 1:
            return {}
        return {host: self.models.loaded(host, now) for host in self.hosts}

    def _weigh_cold_starts(self) -> None:
        bounded = self._settings.limits.concurrency is not None
        for load in self._loads.values():
            load.cold_start = _COLD_START if bounded else _COLD_START_UNBOUNDED

    def _route(self, model_id: str, number: int, known: Route | None) -> Route:
        host = self.hosts[number - 1]
        at = self._at(f"{self._name}/{model_id}", number)
        learned: tuple[Gate, ...]
        if known is not None:
            learned = tuple(gate for gate in known.gates if not is_configured_limit(gate))
            for gate in learned:
                gate.name = f"{at}: {gate.name.rpartition(': ')[2]}"
        else:
            breaker = CircuitBreaker(f"{at}: circuit breaker", self._random)
            cooldown = Cooldown(f"{at}: cooldown", self._random)
            limit = LearnedLimit(
                f"{at}: learned limit",
                self._random,
                cooldown=cooldown,
            )
            learned = (breaker, cooldown, limit, *self._recovery(at, host, breaker, cooldown))
        gates = (*self.slots[host], *learned)
        if known is not None and known.gates == gates:
            return known
        tells = self._profile.loaded_models is not None
        warm_until = self.models.warm_until(host, model_id) if tells else inf
        return Route(host, gates, self._loads[host], warm_until)

    def _recovery(
        self, at: str, host: str, breaker: CircuitBreaker, cooldown: Cooldown
    ) -> Iterator[Recovery]:
        """None where nothing can be found out for nothing."""
        probe = self._profile.probe
        if probe is not None:
            gate = Recovery(
                f"{at}: health",
                breaker,
                cooldown,
                hears_of_readiness=probe.ready_path is not None,
            )
            self._watch(host, gate)
            yield gate

    def _named_anew(self, host: str, number: int) -> tuple[Gate, ...]:
        """The slots of a host, by the number that it has now."""
        slots = self.slots.get(host, ())
        for gate in slots:
            gate.name = f"{self._at(self._name, number)}: {gate.name.rpartition(': ')[2]}"
        return slots

    def _slots_of(self, number: int) -> tuple[Gate, ...]:
        return slot_gates(self._at(self._name, number), self._settings.limits)

    def _at(self, name: str, number: int) -> str:
        # Clients may read the names of gates, but not where a host is.
        return f"{name} at host {number}" if len(self.hosts) > 1 else name
