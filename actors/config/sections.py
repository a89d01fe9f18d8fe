"""The sections of the configuration, each valid in itself. All times are milliseconds.

What ties settings to each other is in :mod:`~forebay.actors.config.agreement`.
docs/configuration.md says what each setting is for; a test holds it to these classes.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from forebay.actors.config.agreement import (
    Rule,
    View,
    within_defaults,
    within_model,
    within_provider,
    within_server,
)
from forebay.actors.config.problems import Fault, broken, did_you_mean
from forebay.actors.config.values import (
    BindHost,
    Bytes,
    Count,
    Headers,
    HttpUrl,
    Key,
    Milliseconds,
    ModelName,
    Port,
    Rate,
    Section,
    SomeMilliseconds,
    SomeOf,
    Target,
    Weight,
)
from forebay.actors.scheduling.flows import TrafficClass
from forebay.actors.scheduling.lanes import Strategy
from forebay.protocol.providers import PROFILES


class Hold(StrEnum):
    """When an answer that waits commits to status 200 and keeps its connection alive."""

    AUTO = "auto"
    """Streams do, after a while; whole answers stay silent to the end."""
    SILENT = "silent"
    """Never: the status stays honest, and the client must bear the silence."""
    KEEPALIVE = "keepalive"
    """Streams do, and whole answers too, later."""


class OnUnsupported(StrEnum):
    """What becomes of a request that says something which its target's API can't say, and which
    only tunes. (What changes its meaning is always refused.)"""

    DROP = "drop"
    """It is left out, and the answer names it."""
    REJECT = "reject"
    """The target is passed over; 400 where there is no other."""


class UnknownModel(StrEnum):
    """What becomes of a request for a model that the gateway does not know."""

    REJECT = "reject"
    """404."""
    DEFAULT = "default"
    """The default model of the request's dialect serves it."""


class StrictSettings(BaseModel):
    """Base of every section: no unknown keys, no changes, no values in pydantic's own errors."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=True,
        populate_by_name=True,
    )


SectionT = TypeVar("SectionT", bound=StrictSettings)


def _in_agreement(section: SectionT, rule: Rule) -> SectionT:
    """``section``, if what ``rule`` ties together agrees."""
    faults = list(rule(View(section)))
    if faults:
        raise broken(*faults)
    return section


class ServerSettings(StrictSettings):
    """The gateway's own socket and what its connections may cost."""

    host: BindHost = "127.0.0.1"
    port: Port = 4290
    """0 lets the system choose."""
    max_sessions: Annotated[Count, Field(le=1_000_000)] = 10_000
    """Connections at once; more wait in the listen backlog."""
    max_body_bytes: Bytes = 32 * 1024 * 1024
    """Of one request; a larger one is a 413."""
    waiting_bytes: Bytes = 1024 * 1024 * 1024
    """Of the bodies of all waiting requests together; then reading stops until some have gone."""
    body_idle_ms: SomeMilliseconds = 60_000
    """Silence allowed while a client sends its request body."""
    body_grace_ms: Milliseconds = 20_000
    """How long a client may take to send its body before its speed matters."""
    body_min_bytes_per_second: Count = 16 * 1024
    """Of a body, on average since then; so it ends in a time that its size bounds."""
    write_timeout_ms: SomeMilliseconds = 30_000
    """How long a client that does not read may hold a connection."""
    keep_alive_ms: Milliseconds = 75_000
    """How long an idle connection stays open for its next request."""
    drain_ms: Milliseconds = 30_000
    """On SIGTERM: how long running answers may take to end."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        return _in_agreement(self, within_server)


class WaitSettings(StrictSettings):
    """How long requests wait, and what their clients hear meanwhile."""

    max_wait_ms: Milliseconds = 120_000
    """Until a request that has not started gets a 429; 0 means at once."""
    hold: Hold = Hold.AUTO
    keepalive_after_ms: Milliseconds = 15_000
    """When a waiting stream commits to 200 and sends its first keep-alive."""
    keepalive_every_ms: SomeMilliseconds = 10_000
    json_keepalive_after_ms: Milliseconds = 240_000
    """The same for a whole answer, where ``hold`` is ``keepalive``."""


class ImageLinks(StrEnum):
    """What becomes of links to images, where a target can't follow them itself."""

    FETCH = "fetch"
    """The gateway gets the images, from public addresses only."""
    REFUSE = "refuse"
    """400."""


class ImageSettings(StrictSettings):
    """Images that requests only link to, for targets that take none but inline ones."""

    links: ImageLinks = ImageLinks.FETCH
    max_bytes: Bytes = 20 * 1024 * 1024
    """Of all linked images of one request together."""
    timeout_ms: SomeMilliseconds = 10_000
    """How long getting one of them may take."""


class LimitSettings(StrictSettings):
    """What a provider allows. None: not configured, learned from the provider's answers."""

    rpm: Rate | None = None
    """Requests per minute."""
    rps: Rate | None = None
    """Requests per second."""
    tpm: Count | None = None
    """Tokens per minute."""
    concurrency: Count | None = None
    """Calls at once; of an Ollama provider, per host."""
    burst: Count | None = None
    """Requests that may start back to back after a quiet time."""


class TimeoutSettings(StrictSettings):
    """What bounds a call that has started. Waiting never counts against it."""

    connect_ms: SomeMilliseconds = 10_000
    first_byte_ms: SomeMilliseconds = 600_000
    """From the request sent to the first byte of the answer."""
    between_bytes_ms: SomeMilliseconds = 300_000


def _known_kind(kind: str) -> str:
    if kind not in PROFILES:
        raise broken(
            Fault(
                message=f"must be one of {', '.join(sorted(PROFILES))}",
                fix=did_you_mean(kind, PROFILES),
                echo=True,
            )
        )
    return kind


class ProviderSettings(StrictSettings):
    """One account at one upstream."""

    kind: Annotated[str, AfterValidator(_known_kind)]
    """A key of :data:`forebay.protocol.providers.PROFILES`."""
    base_url: HttpUrl | None = None
    """None: the kind's own. Without a trailing slash."""
    hosts: SomeOf[HttpUrl] | None = None
    """Several equal servers, each with its own slots, for the kinds that can have them."""
    api_key: Key | None = None
    headers: Headers = Field(default_factory=dict)
    """Sent with every call; names in lower case."""
    limits: Section[LimitSettings] = LimitSettings()
    timeouts: Section[TimeoutSettings] = TimeoutSettings()

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        return _in_agreement(self, within_provider)


class ModelSettings(StrictSettings):
    """A public model name, and what serves it."""

    targets: SomeOf[Target]
    """Each ``provider/model-id``, in order of preference."""
    strategy: Strategy = Strategy.ORDERED
    max_wait_ms: Milliseconds | None = None
    """None: ``wait.max_wait_ms``."""
    hold: Hold | None = None
    """None: ``wait.hold``."""
    on_unsupported: OnUnsupported | None = None
    """None: ``defaults.on_unsupported``."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        return _in_agreement(self, within_model)


class Defaults(StrictSettings):
    """What holds where a request, its client and its model say nothing else: the models that stand
    in, by the dialect of the request, and what becomes of what a target can't be told."""

    openai: ModelName | None = None
    anthropic: ModelName | None = None
    ollama: ModelName | None = None
    unknown_model: UnknownModel = UnknownModel.REJECT
    on_unsupported: OnUnsupported = OnUnsupported.DROP

    def by_dialect(self) -> dict[str, str | None]:
        return {"openai": self.openai, "anthropic": self.anthropic, "ollama": self.ollama}

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        return _in_agreement(self, within_defaults)


class ClientSettings(StrictSettings):
    """The holder of a gateway key."""

    key: Key
    weight: Weight = 1.0
    """Share of the tokens when clients compete; 2 gets twice what 1 gets."""
    # Not ``alias``: type checkers would want ``class`` as the argument's name.
    traffic_class: TrafficClass = Field(
        default=TrafficClass.INTERACTIVE, validation_alias="class", serialization_alias="class"
    )
    max_wait_ms: Milliseconds | None = None
    """The client's ceiling: comes before the model's and the server's, and a request can only
    lower it."""
    hold: Hold | None = None
    """None: as the model or ``wait.hold`` says."""
    on_unsupported: OnUnsupported | None = None
    """None: as the model or ``defaults.on_unsupported`` says."""
    models: tuple[ModelName, ...] | None = None
    """The only models that this client may ask for. None: all."""
    manage_models: bool = False
    """May have Ollama servers pull, push, make, copy and delete models."""
