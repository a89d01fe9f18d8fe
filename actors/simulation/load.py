"""A load description: who asks for what how often, and what the simulated upstreams allow.

docs/simulate.md says what each setting is for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from forebay.actors.config import LimitSettings, NameList
from forebay.actors.config.problems import Fault, broken, did_you_mean
from forebay.actors.config.settings import Settings
from forebay.actors.config.strict_sections import StrictSettings
from forebay.actors.config.values import (
    Count,
    ModelName,
    Named,
    NotNegative,
    Number,
    Section,
    ShortName,
)
from forebay.actors.routing.names import Names
from forebay.actors.scheduling.flows import TrafficClass
from forebay.actors.simulation.values import PerSecond, Seconds, Size, SizeOf, SomeSeconds


class Arrivals(StrEnum):
    """How requests of a rate come."""

    POISSON = "poisson"
    """Each by itself, by chance."""
    CONSTANT = "constant"
    """One every so often, exactly."""


class Phase(StrictSettings):
    """A part of the day, or of whatever repeats."""

    lasts: SomeSeconds
    rate: PerSecond


def _mix(value: object) -> object:
    """One model's name, several, or parts of the whole by name."""
    if isinstance(value, str):
        return {value: 1}
    if isinstance(value, list | tuple):
        return dict.fromkeys((str(name) for name in value), 1)
    return value


Mix = Annotated[Mapping[ModelName, Annotated[Number, Field(gt=0, le=1e9)]], BeforeValidator(_mix)]


class Traffic(StrictSettings):
    """Requests of one sort."""

    clients: tuple[ShortName, ...] = ()
    """Of the configuration, each as often as the others."""
    users: Annotated[int, Field(ge=0, le=100_000)] = 0
    """Users that the configuration does not name, of weight 1."""
    traffic_class: TrafficClass = Field(
        default=TrafficClass.INTERACTIVE, validation_alias="class", serialization_alias="class"
    )
    """Of the users; clients have that of the configuration."""
    models: Mix
    input_tokens: SizeOf = Size(constant=500)
    output_tokens: SizeOf = Size(constant=200)
    max_tokens: Count | None = None
    """What the requests say that they want at most; None: they don't say."""
    max_wait: Seconds | None = None
    """None: as configured."""
    stream: bool = False
    rate: PerSecond | None = None
    """Of all clients and users of this traffic together, whatever becomes of their requests."""
    phases: tuple[Phase, ...] = ()
    """In the place of ``rate``: one after the other, and again from the first."""
    arrivals: Arrivals = Arrivals.POISSON
    think_time: Seconds | None = None
    """In the place of a rate: each asks again so long after the last answer came."""
    at_once: Count = 1
    """How many requests each has under way at the same time, with ``think_time``."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if not self.clients and not self.users:
            raise broken(
                Fault(message="has nobody who asks", fix="give it clients, or a number of users")
            )
        if self.phases and not any(phase.rate for phase in self.phases):
            raise broken(Fault(at=("phases",), message="must have a rate above 0 in one of them"))
        given = [
            name
            for name, there in (
                ("rate", self.rate is not None),
                ("phases", bool(self.phases)),
                ("think_time", self.think_time is not None),
            )
            if there
        ]
        if len(given) != 1:
            raise broken(
                Fault(
                    message="must have one of rate, phases and think_time"
                    + (f", not {' and '.join(given)}" if given else "")
                )
            )
        return self


class Latency(StrictSettings):
    """How long a simulated call takes."""

    first_byte_ms: NotNegative = 500.0
    ms_per_output_token: NotNegative = 10.0
    refusal_ms: NotNegative = 50.0


class Change(StrictSettings):
    """From then on other limits hold; those that are not named stay."""

    at: Seconds
    rps: PerSecond | None = None
    rpm: Annotated[Number, Field(gt=0, le=1e12)] | None = None
    tpm: Annotated[Number, Field(gt=0, le=1e12)] | None = None
    itpm: Annotated[Number, Field(gt=0, le=1e12)] | None = None
    otpm: Annotated[Number, Field(gt=0, le=1e12)] | None = None
    concurrency: Count | None = None


class Upstream(LimitSettings):
    """What a provider really allows, and how it is. Limits of which none is named here are those
    of the configuration."""

    latency: Section[Latency] = Latency()
    failure_rate: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """The share of calls that end in a server's error."""
    tells_limits: bool = False
    """Answers say what is left of each limit."""
    retry_after: bool = True
    """Refusals say when to try again."""
    changes: tuple[Change, ...] = ()

    @property
    def own_limits(self) -> bool:
        """Whether it names any limit."""
        return any(getattr(self, name) for name in _LIMITS)


_LIMITS = ("rps", "rpm", "rpd", "tpm", "tpd", "itpm", "otpm", "itpd", "otpd", "concurrency")


class Load(StrictSettings):
    """A whole load description."""

    duration: SomeSeconds = 3600.0
    seed: int = 1
    traffic: Named[ShortName, Traffic] = Field(default_factory=dict)
    trace: str | None = None
    """A file of recorded requests, beside ``traffic`` or in its place."""
    upstreams: Named[ShortName, Upstream] = Field(default_factory=dict)
    """By the provider's name."""

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if not self.traffic and self.trace is None:
            raise broken(Fault(message="has no traffic", fix="describe some, or name a trace"))
        return self


def disagreements(load: Load, settings: Settings) -> list[Fault]:
    """Names in ``load`` that ``settings`` does not have."""
    faults: list[Fault] = []
    names = Names(settings)

    def unknown(at: tuple[str | int, ...], what: str, name: str, known: Sequence[str]) -> None:
        fix = did_you_mean(name, known) or (
            f"there are: {', '.join(known)}" if known else "there are none"
        )
        message = f"the configuration has no {what} '{name}'"
        faults.append(Fault(at=at, message=message, fix=fix))

    for name, traffic in load.traffic.items():
        for index, client in enumerate(traffic.clients):
            at = ("traffic", name, "clients", index)
            if client not in settings.clients:
                unknown(at, "client", client, tuple(settings.clients))
                continue
            allowed = settings.names_of(client)
            for model in traffic.models:
                if allowed is not None and not NameList(allowed).holds(names.meaning(model).name):
                    message = f"client '{client}' may not use model '{model}'"
                    faults.append(Fault(at=at, message=message))
        for model in traffic.models:
            if not is_served(model, settings):
                unknown(("traffic", name, "models"), "model", model, tuple(settings.models))
    for provider in load.upstreams:
        if provider not in settings.providers:
            unknown(("upstreams", provider), "provider", provider, tuple(settings.providers))
    return faults


def is_served(model: str, settings: Settings) -> bool:
    """Whether ``model`` leads to a configured model, or to a target named outright."""
    if model in settings.models:
        return True
    meaning = Names(settings).meaning(model)
    provider, slash, model_id = meaning.name.partition("/")
    return meaning.model is not None or bool(slash and model_id and provider in settings.providers)
