"""The sections of the configuration, each valid in itself. All times are milliseconds.

Those of a provider are in :mod:`~forebay.actors.config.provider_sections`; what ties settings to
each other is in :mod:`~forebay.actors.config.agreement`.
docs/configuration.md says what each setting is for; a test holds it to these classes.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from forebay.actors.config.agreement import within_defaults, within_model, within_server
from forebay.actors.config.strict_sections import StrictSettings, in_agreement
from forebay.actors.config.values import (
    AddressRange,
    BindHost,
    Bytes,
    Count,
    FilePath,
    Key,
    LongMilliseconds,
    Milliseconds,
    ModelName,
    NotNegative,
    Number,
    Port,
    Share,
    ShareOrWhether,
    SomeMilliseconds,
    SomeOf,
    Target,
    Weight,
)
from forebay.actors.scheduling.flows import TrafficClass
from forebay.actors.scheduling.lanes import Strategy
from forebay.protocol.dialects.base import ReasoningField


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
    watch_config: bool = True
    """A configuration file that changes is applied. SIGHUP applies it in any case."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        return in_agreement(self, within_server)


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


class SchedulingSettings(StrictSettings):
    """How what providers allow is shared out."""

    batch_share: Annotated[Number, Field(ge=5, le=95)] = 20.0
    """Per cent for the batch class while both classes wait."""


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


KEPT_IN_MEMORY = ":memory:"
"""Instead of a path: nothing is kept over a restart."""


class StateSettings(StrictSettings):
    """What is kept: for clients the answers of the Responses API, in memory; and over restarts
    what was learned of providers, in a file."""

    path: FilePath | None = None
    """Of the file, from the folder of the configuration file. None: beside that, with its name
    and ``.sqlite``."""
    max_responses: Count = 100_000
    """Answers, all clients together."""
    max_bytes: Bytes = 256 * 1024 * 1024
    """Of these answers and the conversations that led to them."""
    keep_ms: LongMilliseconds = 30 * 24 * 3600 * 1000
    """How long an answer is kept: as long as OpenAI keeps them."""


class ModelSettings(StrictSettings):
    """A public model name, and what serves it."""

    targets: SomeOf[Target]
    """Each ``provider/model-id``, in order of preference."""
    strategy: Strategy = Strategy.ORDERED
    weights: tuple[NotNegative, ...] | None = None
    """One for each target, where ``strategy`` is ``weighted``: how jobs are split among them."""
    sticky: bool | None = None
    """Conversations stay at their target while it has room. None: if ``strategy`` is
    ``balanced``."""
    max_wait_ms: Milliseconds | None = None
    """None: ``wait.max_wait_ms``."""
    hold: Hold | None = None
    """None: ``wait.hold``."""
    on_unsupported: OnUnsupported | None = None
    """None: ``defaults.on_unsupported``."""
    continue_broken: bool = False
    """A stream that breaks off after it has begun is gone on with by a target that can."""

    @property
    def is_sticky(self) -> bool:
        return self.strategy is Strategy.BALANCED if self.sticky is None else self.sticky

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        return in_agreement(self, within_model)


class AutoCandidates(StrEnum):
    """Which models may serve who asks for the model ``auto``."""

    ALL = "all"
    """The targets of configured models, and whatever providers list."""
    CONFIGURED = "configured"
    """The targets of configured models only."""


class AutoSettings(StrictSettings):
    """How a model is chosen for who asks for the model ``auto``."""

    cost_bias: Share = 0.5
    """How much the price counts, against the room that a target has: 1 is the cheapest."""
    prefer_local: ShareOrWhether = 0.0
    """How much it is worth that a model runs here. ``true`` is 1, ``false`` 0."""
    candidates: AutoCandidates = AutoCandidates.ALL


class Defaults(StrictSettings):
    """What holds where a request, its client and its model say nothing else: the models that stand
    in, by the dialect of the request, and what becomes of what a target can't be told."""

    openai: ModelName | None = None
    anthropic: ModelName | None = None
    ollama: ModelName | None = None
    unknown_model: UnknownModel = UnknownModel.REJECT
    on_unsupported: OnUnsupported = OnUnsupported.DROP
    reasoning_field: ReasoningField = ReasoningField.REASONING_CONTENT

    def by_dialect(self) -> dict[str, str | None]:
        return {"openai": self.openai, "anthropic": self.anthropic, "ollama": self.ollama}

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        return in_agreement(self, within_defaults)


class SpokenDialect(StrEnum):
    """A family of APIs that clients speak."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    OLLAMA = "ollama"


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
    auto: AutoSettings | None = None
    """What it leaves out is as in the section ``auto``."""
    keyless: tuple[SpokenDialect, ...] = ()
    """Requests in these dialects that bring no key at all are this client's."""
    keyless_from: SomeOf[AddressRange] | None = None
    """Where they may come from: the peer's own address, whatever a proxy says. None: this
    machine."""
    manage_models: bool = False
    """May have Ollama servers pull, push, make, copy and delete models."""
