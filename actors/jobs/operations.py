"""What a job can ask of a target, apart from what it is: the interfaces of all operations.

An *operation* is asked for by a client once. For each attempt it writes a *prepared call* for the
target that was granted, which then reads the upstream's answer as its *content*.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from forebay.actors.providers.provider import Target
from forebay.actors.providers.sizes import RequestSize
from forebay.actors.scheduling.gates import Ending
from forebay.actors.upstream import UpstreamAnswer
from forebay.protocol.canonical.events import Usage
from forebay.protocol.canonical.needs import NO_NEEDS, Needs
from forebay.protocol.canonical.requests import Dialect, InlineData
from forebay.protocol.dialects.base import Api, EncodedRequest, UpstreamTraits
from forebay.protocol.providers.base import CallFailure


class QueryField(NamedTuple):
    """One field of a request's query, decoded."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """A request as it came over HTTP, for upstreams of the same API."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Names in lower case: what a provider of the same API may want to see."""
    query: tuple[QueryField, ...] = ()
    """Without what is the gateway's own."""


class Content(ABC):
    """An answer that has begun, or is whole."""

    is_whole = True
    """Nothing more is asked of the upstream."""

    @property
    @abstractmethod
    def usage(self) -> Usage | None:
        """What the upstream said that it used, the latest report."""

    @property
    @abstractmethod
    def output_estimate(self) -> int:
        """Tokens of output so far, by length."""

    @property
    def ending(self) -> Ending:
        """How the call ends if it ends now, and did not break off."""
        return Ending.SERVED

    @property
    def failure(self) -> CallFailure | None:
        """By what the answer broke off after it had begun. None: it did not."""
        return None


ContentT = TypeVar("ContentT", bound=Content, covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """A request as it is put to targets of one API with the same traits. Two of one operation that
    are equal say the same."""

    api: Api
    dialect: Dialect
    """Whose words the answer is in."""
    traits: UpstreamTraits
    inbound: Inbound | None = field(default=None, compare=False, repr=False)
    """The request as it came, if it came in this API."""
    encode: Callable[[], EncodedRequest] | None = field(default=None, compare=False, repr=False)
    """Writes it, whatever the name of the target's model.

    Raises:
        ApiFailure: BAD_REQUEST, the API can't say what the request means.

    None: it goes as it came.
    """
    roundabout: bool = field(default=False, compare=False)
    """It asks for something that only comes close: for where nothing else can be said."""

    def dropped(self) -> tuple[str, ...]:
        """What would be left out.

        Raises:
            ApiFailure: as ``encode``.
        """
        return () if self.encode is None else self.encode().dropped


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamRequest:
    """A request as it goes to a target."""

    target: Target
    api: Api
    dialect: Dialect
    """Whose words the answer is in."""
    passes_through: bool
    """Same API on both sides: bytes go through unaltered."""
    path: str
    """Below where the provider has the API, with the query."""
    body: bytes
    headers: dict[str, str] = field(repr=False)
    dropped: tuple[str, ...] = ()

    def url(self, host: str) -> str:
        """Where it goes at one of the provider's hosts."""
        return self.target.provider.profile.base_of(host, self.api) + self.path


class PreparedCall(ABC, Generic[ContentT]):
    """A request, and how its answer is read."""

    def __init__(self, request: UpstreamRequest) -> None:
        self.request = request

    @abstractmethod
    async def read(self, answer: UpstreamAnswer) -> ContentT:
        """Read an answer with a status below 400, until it has content (a stream) or is whole.

        Raises:
            CallFailed: it is none.
            UpstreamFailure: it broke off.
        """


class Operation(ABC, Generic[ContentT]):
    """What a client asks for."""

    verb: str
    """What a target does that serves it, in the third person: ``answers chats``."""
    size: RequestSize
    most_output: int | None
    """Tokens, where the client bounds them."""
    needs: Needs = NO_NEEDS
    """What it asks of a model, with the tokens that its longest prompt surely has."""
    longest_answer: int | None = None
    """Tokens that one answer may have, where the client says."""
    streams = False
    """Its answer comes little by little."""
    service_tier: str | None = None
    """How urgent the request itself says that it is, in the words of its API."""

    def conversation(self, client: str) -> int | None:
        """What requests of ``client`` have in common that begin like this one; None where they
        are no conversations."""
        return None

    @abstractmethod
    def served_by(self, target: Target) -> bool:
        """Whether ``target``'s provider has an API for it."""

    @abstractmethod
    def wordings(self, target: Target) -> tuple[Wording, ...]:
        """In which ways the request may be put to ``target``, one for each API that it has; whose
        answer suits the client best comes first."""

    def unfollowed_links(self, target: Target) -> tuple[str, ...]:
        """Links to images, in the place of the images, that ``target`` can't follow itself."""
        return ()

    def with_images(self, images: Mapping[str, InlineData]) -> Operation[ContentT]:
        """The same with ``images`` in the place of the links to them."""
        return self

    @abstractmethod
    def prepare(self, target: Target, wording: Wording) -> PreparedCall[ContentT]:
        """Write the request for ``target``.

        Args:
            wording: one of those that the operation has for the target.

        Raises:
            ApiFailure: BAD_REQUEST, the target's dialect can't say what the request means.
        """
