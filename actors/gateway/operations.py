"""What a job can ask of a target, apart from what it is: the interfaces of all operations.

An *operation* is asked for by a client once. For each attempt it writes a *prepared call* for the
target that was granted, which then reads the upstream's answer as its *content*.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Generic, NamedTuple, Protocol, TypeVar
from urllib.parse import quote, urlencode

from forebay.actors.gateway.provider import Target
from forebay.actors.gateway.sizes import RequestSize
from forebay.actors.scheduling.gates import Ending
from forebay.actors.upstream import UpstreamAnswer
from forebay.protocol.canonical.embeddings import EmbeddingRequest
from forebay.protocol.canonical.events import Usage
from forebay.protocol.canonical.requests import ChatRequest, Dialect, InlineData
from forebay.protocol.dialects.base import Api, EncodedRequest, UpstreamTraits
from forebay.protocol.jsontext import dumps
from forebay.protocol.splice import replace_model


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
        """How the call ends if it ends now."""
        return Ending.SERVED


ContentT = TypeVar("ContentT", bound=Content, covariant=True)
RequestT = TypeVar("RequestT", ChatRequest, EmbeddingRequest)
CodecT = TypeVar("CodecT")
WrittenT = TypeVar("WrittenT", ChatRequest, EmbeddingRequest, contravariant=True)


@dataclass(frozen=True, slots=True)
class Wording:
    """How a request is put to targets that can't take the client's own bytes. Two that are equal
    say the same of one request."""

    api: Api
    traits: UpstreamTraits
    encode: Callable[[UpstreamTraits], EncodedRequest] = field(compare=False, repr=False)

    def dropped(self) -> tuple[str, ...]:
        """What would be left out.

        Raises:
            ApiFailure: BAD_REQUEST, that would change what the request means.
        """
        return self.encode(self.traits).dropped


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamRequest:
    """A request as it goes to a target."""

    target: Target
    dialect: Dialect
    """Whose words the answer is in."""
    passes_through: bool
    """Same API on both sides: bytes go through unaltered."""
    path: str
    """Below the base URL, with the query."""
    body: bytes
    headers: dict[str, str] = field(repr=False)
    dropped: tuple[str, ...] = ()


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
    has_own_limits = False
    """Providers count it apart from answers: where it is refused, they are not."""

    @abstractmethod
    def served_by(self, target: Target) -> bool:
        """Whether ``target``'s provider has an API for it."""

    def wording(self, target: Target) -> Wording | None:
        """How the request would be put to ``target``; None: nothing of it is put otherwise than
        the client did."""
        return None

    @property
    def image_links(self) -> tuple[str, ...]:
        """Links to images that the request holds instead of the images."""
        return ()

    def follows_links(self, target: Target) -> bool:
        """Whether ``target`` gets such images itself."""
        return True

    def with_images(self, images: Mapping[str, InlineData]) -> Operation[ContentT]:
        """The same with ``images`` in the place of the links to them."""
        return self

    @abstractmethod
    def prepare(self, target: Target) -> PreparedCall[ContentT]:
        """Write the request for ``target``: the client's own bytes where the target speaks its
        API and can take them.

        Raises:
            ApiFailure: BAD_REQUEST, the target's dialect can't say what the request means.
        """


class RequestWriter(Protocol[WrittenT]):
    """What codecs of all kinds have for towards upstreams."""

    @property
    def api(self) -> Api: ...

    @property
    def dialect(self) -> Dialect: ...

    def can_relay(self, request: WrittenT, traits: UpstreamTraits) -> bool: ...

    def encode_request(self, request: WrittenT, traits: UpstreamTraits) -> EncodedRequest: ...


def wording_for(
    target: Target, codec: RequestWriter[RequestT], request: RequestT, inbound: Inbound | None
) -> Wording | None:
    """How :func:`write_request` puts it; None: as it came."""
    traits = target.provider.profile.traits_of(target.model_id)
    if inbound is not None and codec.can_relay(request, traits):
        return None
    return Wording(codec.api, traits, partial(codec.encode_request, request))


def codecs_of(target: Target, codecs: Mapping[Api, CodecT]) -> list[CodecT]:
    """Those of ``codecs`` whose API ``target``'s provider has, best first."""
    return [codecs[api] for api in target.provider.profile.paths if api in codecs]


def own_or_best(
    own: CodecT, codecs: Sequence[CodecT], inbound: Inbound | None
) -> tuple[CodecT, Inbound | None]:
    """The client's own API if it is among ``codecs``, with the request as it came; else the
    first."""
    return (own, inbound) if own in codecs else (codecs[0], None)


def write_request(
    target: Target, codec: RequestWriter[RequestT], request: RequestT, inbound: Inbound | None
) -> UpstreamRequest:
    """``request`` in the words of ``codec``, for ``target``.

    Args:
        inbound: what came, if it came in the same API: it goes as it is where it can.

    Raises:
        ApiFailure: BAD_REQUEST, they can't say what the request means.
    """
    profile = target.provider.profile
    traits = profile.traits_of(target.model_id)
    path = profile.paths[codec.api]
    headers = dict(target.provider.headers)
    if inbound is not None:
        wanted = profile.forwarded_headers
        headers.update((name, value) for name, value in inbound.headers.items() if name in wanted)
        if inbound.query and profile.forwards_query:
            path += "?" + urlencode(inbound.query, quote_via=quote)
        if codec.can_relay(request, traits):
            return UpstreamRequest(
                target=target,
                dialect=codec.dialect,
                passes_through=True,
                path=path,
                body=replace_model(inbound.body, target.model_id),
                headers=headers,
            )
    encoded = codec.encode_request(replace(request, model=target.model_id), traits)
    return UpstreamRequest(
        target=target,
        dialect=codec.dialect,
        passes_through=False,
        path=path,
        body=dumps(encoded.body),
        headers={**encoded.headers, **headers},
        dropped=encoded.dropped,
    )
