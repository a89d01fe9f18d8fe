"""Putting requests into the words of the APIs that targets have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final, Protocol, TypeVar
from urllib.parse import quote, urlencode

from forebay.actors.jobs.operations import Inbound, UpstreamRequest, Wording
from forebay.actors.providers.provider import Target
from forebay.actors.providers.sizes import RequestSize
from forebay.protocol.canonical.embeddings import EmbeddingRequest
from forebay.protocol.canonical.requests import ChatRequest, Dialect
from forebay.protocol.dialects.base import Api, EncodedRequest, UpstreamTraits
from forebay.protocol.jsontext import dumps
from forebay.protocol.splice import replace_model

RequestT = TypeVar("RequestT", ChatRequest, EmbeddingRequest)
WrittenT = TypeVar("WrittenT", ChatRequest, EmbeddingRequest, contravariant=True)

_LARGEST_KEPT: Final = 64 * 1024
"""Bytes of text. A request waits as it was read; what it was written as is only kept beside that
where the two hold the same texts, and few of them."""


class Codec(Protocol):
    """What all codecs have."""

    @property
    def api(self) -> Api: ...

    @property
    def dialect(self) -> Dialect: ...


class RequestWriter(Codec, Protocol[WrittenT]):
    """What codecs of all kinds have for towards upstreams."""

    def can_relay(self, request: WrittenT, traits: UpstreamTraits) -> bool: ...

    def encode_request(self, request: WrittenT, traits: UpstreamTraits) -> EncodedRequest: ...


CodecT = TypeVar("CodecT", bound=Codec)


def codecs_of(
    target: Target, codecs: Mapping[Api, CodecT], own: CodecT | None = None
) -> list[CodecT]:
    """Those of ``codecs`` whose API ``target``'s provider has: the client's own, then those of its
    dialect, else as the provider prefers them."""
    having = [codecs[api] for api in target.provider.profile.paths if api in codecs]
    if own is None:
        return having
    return sorted(having, key=lambda each: (each.api != own.api, each.dialect != own.dialect))


class _Kept:
    """What a request was written as, once it was."""

    __slots__ = ("_encode", "_encoded")

    def __init__(self, encode: Callable[[], EncodedRequest]) -> None:
        self._encode = encode
        self._encoded: EncodedRequest | None = None

    def __call__(self) -> EncodedRequest:
        if self._encoded is None:
            self._encoded = self._encode()
        return self._encoded


def wordings_of(
    request: RequestT,
    size: RequestSize,
    target: Target,
    codecs: Iterable[RequestWriter[RequestT]],
    own: RequestWriter[RequestT] | None,
    inbound: Inbound | None,
) -> tuple[Wording, ...]:
    """``request`` in the words of each of ``codecs``.

    Args:
        own: of the API that the client speaks; None where it speaks none.
        inbound: what came, if it came in that API: it goes as it is where it can.
    """
    traits = target.provider.traits_of(target.model_id)
    keeps = not size.media and size.text_bytes <= _LARGEST_KEPT

    def wording(codec: RequestWriter[RequestT]) -> Wording:
        came = inbound if own is not None and codec.api == own.api else None
        encode: Callable[[], EncodedRequest] | None = None
        if came is None or not codec.can_relay(request, traits):
            encode = partial(codec.encode_request, request, traits)
            encode = _Kept(encode) if keeps else encode
        return Wording(
            api=codec.api, dialect=codec.dialect, traits=traits, inbound=came, encode=encode
        )

    return tuple(map(wording, codecs))


def write_request(target: Target, wording: Wording) -> UpstreamRequest:
    """The request as ``wording`` has it, for ``target``.

    Raises:
        ApiFailure: as ``wording.encode``.
    """
    profile = target.provider.profile
    path = profile.path_of(wording.api, target.model_id)
    headers = dict(target.provider.headers)
    inbound = wording.inbound
    if inbound is not None:
        wanted = profile.forwarded_headers
        headers.update((name, value) for name, value in inbound.headers.items() if name in wanted)
        if inbound.query and profile.forwards_query:
            path += ("&" if "?" in path else "?") + urlencode(inbound.query, quote_via=quote)
    if wording.encode is None:
        assert inbound is not None
        return UpstreamRequest(
            target=target,
            api=wording.api,
            dialect=wording.dialect,
            passes_through=True,
            path=path,
            body=replace_model(inbound.body, target.model_id),
            headers=headers,
        )
    encoded = wording.encode()
    return UpstreamRequest(
        target=target,
        api=wording.api,
        dialect=wording.dialect,
        passes_through=False,
        path=path,
        body=dumps({**encoded.body, "model": target.model_id}),
        headers={**encoded.headers, **headers},
        dropped=encoded.dropped,
    )
