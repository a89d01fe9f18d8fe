"""The sections of one provider, each valid in itself. All times are milliseconds."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from forebay.actors.config.problems import Fault, broken, did_you_mean
from forebay.actors.config.provider_agreement import within_provider, within_target
from forebay.actors.config.strict_sections import StrictSettings, in_agreement
from forebay.actors.config.values import (
    Count,
    FilePath,
    Headers,
    HttpUrl,
    Key,
    ModelId,
    Named,
    NotNegative,
    ProxyUrl,
    Rate,
    Section,
    SomeMilliseconds,
    SomeOf,
)
from forebay.actors.scheduling.gates import Unit
from forebay.actors.scheduling.windows import Shape
from forebay.protocol.canonical.listed_models import Capability
from forebay.protocol.dialects.base import Prefill
from forebay.protocol.providers import PROFILES


class WindowSettings(StrictSettings):
    """A limit by a window of a length of its own."""

    limit: Count
    seconds: Annotated[Count, Field(le=366 * 86_400)]
    unit: Unit = Unit.REQUESTS
    shape: Shape = Shape.ROLLING


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
    """None: as the provider's listing or the table of prices says."""
    capabilities: tuple[Capability, ...] = ()
    """What the model can do, beside what is known of it."""
    lacks: tuple[Capability, ...] = ()
    """What it can't do, whatever is known of it."""
    context_tokens: Count | None = None
    """Prompt and answer together. None: as is known of it."""
    max_output_tokens: Count | None = None
    """The longest answer. None: as is known of it."""
    deprecated: bool | None = None
    """Its provider will take it away. None: as is known of it."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        return in_agreement(self, within_target)


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

    local: bool | None = None
    """Its models run here, not at somebody else's. None: as its addresses tell."""
    listing_refresh_ms: SomeMilliseconds = 600_000
    """How often it is asked which models it has."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        return in_agreement(self, within_provider)
