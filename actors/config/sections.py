"""The sections of the configuration, each valid in itself. All times are milliseconds.

What ties settings to each other is in :mod:`~forebay.actors.config.agreement`.
docs/configuration.md says what each setting is for; a test holds it to these classes.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

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
    AddressRange,
    BindHost,
    Bytes,
    Count,
    FilePath,
    Headers,
    HttpUrl,
    Key,
    LongMilliseconds,
    Milliseconds,
    ModelId,
    ModelName,
    Named,
    NotNegative,
    Number,
    Port,
    ProxyUrl,
    Rate,
    Section,
    SomeMilliseconds,
    SomeOf,
    Target,
    Weight,
)
from forebay.actors.scheduling.flows import TrafficClass
from forebay.actors.scheduling.gates import Unit
from forebay.actors.scheduling.lanes import Strategy
from forebay.actors.scheduling.windows import Shape
from forebay.protocol.dialects.base import Prefill, ReasoningField
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
    watch_config: bool = True
    """A configuration file that changes is applied. SIGHUP applies it in any case."""

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


class WindowSettings(StrictSettings):
    """A limit by a window of a length of its own."""

    limit: Count
    seconds: Annotated[Count, Field(le=366 * 86_400)]
    unit: Unit = Unit.REQUESTS
    shape: Shape = Shape.ROLLING


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


class LimitSettings(StrictSettings):
    """What a provider, or one of its models, allows. None: not configured, learned from the
    provider's answers."""

    rps: Rate | None = None
    """Requests per second."""
    rpm: Rate | None = None
    """Requests per minute."""
    rpd: Count | None = None
    """Requests per day."""
    tpm: Count | None = None
    """Tokens per minute, input and output together."""
    tpd: Count | None = None
    """Tokens per day."""
    itpm: Count | None = None
    """Tokens of input per minute, where they are counted apart."""
    otpm: Count | None = None
    """Tokens of output per minute."""
    itpd: Count | None = None
    otpd: Count | None = None
    concurrency: Count | None = None
    """Calls at once; of an Ollama provider, per host."""
    burst: Count | None = None
    """Requests that may start back to back after a quiet time."""
    token_burst: Count | None = None
    """Tokens that may be taken back to back after a quiet time."""
    minute_shape: Shape = Shape.SMOOTH
    """How the limits per minute come back."""
    day_shape: Shape = Shape.ROLLING
    """How the limits per day come back; ``fixed``: at midnight UTC."""
    windows: tuple[WindowSettings, ...] = ()
    """More limits, by windows of other lengths."""


class PriceSettings(StrictSettings):
    """US dollars for a million tokens."""

    input: NotNegative
    output: NotNegative = 0.0


class TargetSettings(StrictSettings):
    """What is particular to one model of a provider."""

    limits: Section[LimitSettings] = LimitSettings()
    """Beside those of the account."""
    price: PriceSettings | None = None
    """None: not known."""


class TimeoutSettings(StrictSettings):
    """What bounds a call that has started. Waiting never counts against it."""

    connect_ms: SomeMilliseconds = 10_000
    first_byte_ms: SomeMilliseconds = 600_000
    """From the request sent to the first byte of the answer."""
    between_bytes_ms: SomeMilliseconds = 300_000


class TlsSettings(StrictSettings):
    """How a provider's connections do TLS. Files are PEM, from the folder of the configuration
    file."""

    ca_file: FilePath | None = None
    """The authorities that are trusted. None: the system's."""
    client_cert: FilePath | None = None
    """As whom the gateway comes."""
    client_key: FilePath | None = None
    """None: it is in ``client_cert``."""
    client_key_password: SecretStr | None = None
    verify: bool = True
    """False: whoever answers is taken for the provider."""


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
    """Of the whole account."""
    targets: Named[ModelId, TargetSettings] = Field(default_factory=dict)
    """By the provider's own id of the model."""
    timeouts: Section[TimeoutSettings] = TimeoutSettings()
    tls: Section[TlsSettings] = TlsSettings()
    proxy: ProxyUrl | None = None
    """None: as the environment says. ``none``: none."""
    prefill: Prefill | None = None
    """How its models go on with a turn of their own. None: as is known of the kind, the address
    and the listing."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        return _in_agreement(self, within_provider)


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
        return _in_agreement(self, within_model)


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
        return _in_agreement(self, within_defaults)


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
    keyless: tuple[SpokenDialect, ...] = ()
    """Requests in these dialects that bring no key at all are this client's."""
    keyless_from: SomeOf[AddressRange] | None = None
    """Where they may come from: the peer's own address, whatever a proxy says. None: this
    machine."""
    manage_models: bool = False
    """May have Ollama servers pull, push, make, copy and delete models."""
