"""What is particular to one kind of provider: declared, not programmed.

A profile says where a provider's APIs are, how it wants to be greeted, how it lists its models
and how its refusals are told apart. The calls themselves are made elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto

from forebay.protocol.canonical.errors import ApiError
from forebay.protocol.canonical.requests import Dialect
from forebay.protocol.dialects.base import Api, UpstreamTraits


class Greeting(Enum):
    """How a provider takes its key."""

    BEARER = auto()
    """``Authorization: Bearer KEY``."""
    X_API_KEY = auto()
    """``x-api-key: KEY``."""


class FailureKind(StrEnum):
    """What a failed call means for the target, the job and the client."""

    RATE_LIMITED = "rate_limited"
    """A limit of ours at the provider: wait, then go on. The job keeps its place."""
    OVERLOADED = "overloaded"
    """The provider's own capacity: wait or go elsewhere. The job keeps its place."""
    UNREACHABLE = "unreachable"
    """Nothing was sent: no connection. The job keeps its place."""
    QUOTA_SPENT = "quota_spent"
    """A limit that no waiting cures soon (credit, plan): the provider is out."""
    KEY_REJECTED = "key_rejected"
    """The provider does not take the gateway's key: the provider is out."""
    TARGET_FORBIDDEN = "target_forbidden"
    """The key may not use this model: the target is out."""
    REQUEST_REJECTED = "request_rejected"
    """The request itself is at fault: the client gets the error."""
    SERVER_FAILED = "server_failed"
    """The provider broke, timed out or answered garbage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFailure:
    """One failed call, understood."""

    kind: FailureKind
    error: ApiError
    """What the client is told, if it comes to that."""
    retry_after: float | None = None
    """Seconds, where the provider said when to come back."""
    resets_in: float | None = None
    """Seconds until a spent quota is there again, where the provider said so."""
    status: int | None = None
    """HTTP status of the provider's answer; None where there was none."""
    detail: str | None = None
    """What operators are told beside ``error``; may say where the provider is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedAnswer:
    """An answer with an error status, as a classifier sees it."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    error: ApiError
    """The body, read by the dialect."""
    now: float
    """Unix seconds."""


def _every_model(model_id: str) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderProfile:
    """One kind of provider."""

    kind: str
    paths: Mapping[Api, str]
    """The APIs that the provider speaks, by their paths below the base URL, the best one for
    translated requests first."""
    listing_path: str
    listing_dialect: Dialect
    classify: Callable[[FailedAnswer], CallFailure]
    default_base_url: str | None = None
    """None: the configuration must say it."""
    needs_key: bool = True
    greeting: Greeting = Greeting.BEARER
    takes_hosts: bool = False
    """May be several equal hosts, each with its own slots."""
    manages_models: bool = False
    """Takes Ollama's calls that pull, make and delete models."""
    completes_text: Callable[[str], bool] = _every_model
    """Whether a model of this id can go on with a text as it stands, where an API for that is
    among ``paths``."""
    one_account: bool = True
    """Where the key or the quota fails for one model, it fails for all. Not at servers that pass
    the calls for some of their models on to somebody else."""
    default_models: Mapping[Api, str] = field(default_factory=dict)
    """Which model the provider itself takes where a request names none."""
    traits: UpstreamTraits = field(default_factory=UpstreamTraits)
    model_traits: Callable[[str, UpstreamTraits], UpstreamTraits] | None = None
    """``traits`` as they are for the model of an id, where models differ."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with every call."""
    forwarded_headers: frozenset[str] = frozenset()
    """A client's headers that go along to an API that is its own; lower case."""
    forwards_query: bool = False
    """The query of a client's request goes along with these headers."""
    charges_cache_reads: bool = True
    """Its limits on tokens count what it read from its prompt cache."""
    reserves_most_output: bool = False
    """Its limits on tokens count the most that a request may put out, until it has ended."""

    def traits_of(self, model_id: str) -> UpstreamTraits:
        """What there is to know of the server when it is asked for this model."""
        if self.model_traits is None:
            return self.traits
        return self.model_traits(model_id, self.traits)
