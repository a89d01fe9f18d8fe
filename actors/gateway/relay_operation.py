"""Asking for what is never translated: bytes to a server of the same API, and its bytes back."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Mapping
from typing import Final, TypeAlias

import trio

from forebay.actors.config import has_star, split_target
from forebay.actors.gateway.gateway import Gateway
from forebay.actors.jobs.calls import LARGEST_ANSWER, read_json, said_in_answer, server_failed
from forebay.actors.jobs.failures import CallFailed, network_failure
from forebay.actors.jobs.job import Client
from forebay.actors.jobs.operations import (
    Content,
    Operation,
    PreparedCall,
    UpstreamRequest,
    Wording,
)
from forebay.actors.providers.provider import Target
from forebay.actors.providers.sizes import RequestSize
from forebay.actors.scheduling.gates import Ending
from forebay.actors.upstream import AnswerBroken, UpstreamAnswer
from forebay.protocol.canonical.events import StreamError, Usage
from forebay.protocol.dialects.relayed import RelayedApi
from forebay.protocol.framing import FrameTooLong, SseFramer
from forebay.protocol.jsontext import InvalidJson, loads_object
from forebay.protocol.providers.base import CallFailure
from forebay.protocol.request_bodies import RequestBody

EVENT_STREAM: Final = "text/event-stream"
_JSON: Final = "application/json"


class RelayedWhole(Content):
    """A whole answer, as it came."""

    def __init__(self, body: bytes, headers: Mapping[str, str], usage: Usage | None) -> None:
        self.body = body
        self.headers = headers
        """What the client must know of the body."""
        self._usage = usage

    @property
    def usage(self) -> Usage | None:
        return self._usage

    @property
    def output_estimate(self) -> int:
        return 0


class RelayedStream(Content):
    """An answer that has begun: sound, text, or a stream of events. Iterate it once."""

    is_whole = False

    def __init__(
        self,
        target: Target,
        answer: UpstreamAnswer,
        first: bytes,
        headers: Mapping[str, str],
        meter: _Meter | None,
    ) -> None:
        self.headers = headers
        self.failed = False
        """The upstream broke off."""
        self._target = target
        self._answer = answer
        self._first = first
        self._meter = meter
        self._at_end = False

    @property
    def content_type(self) -> str:
        return self.headers["content-type"]

    @property
    def usage(self) -> Usage | None:
        return None if self._meter is None else self._meter.usage

    @property
    def output_estimate(self) -> int:
        return 0

    @property
    def ending(self) -> Ending:
        if self.failed:
            return Ending.FAILED
        return Ending.SERVED if self._at_end else Ending.ABANDONED

    @property
    def failure(self) -> CallFailure | None:
        error = None if self._meter is None else self._meter.error
        return None if error is None else said_in_answer(self._target, error)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """The next bytes. Ends where the upstream breaks off, too: then ``failed`` is set."""
        chunk, self._first = self._first, b""
        if not chunk:
            if self._at_end:
                raise StopAsyncIteration
            try:
                chunk = await self._answer.next_chunk()
            except AnswerBroken as failure:
                self.failed = self._at_end = True
                broken = network_failure(failure, self._target)
                self._target.last_failure.note(broken, trio.current_time())
                raise StopAsyncIteration from None
            if not chunk:
                self._at_end = True
                raise StopAsyncIteration
        if self._meter is not None:
            self._meter.feed(chunk)
        return chunk


RelayedContent: TypeAlias = RelayedWhole | RelayedStream


class RelayOperation(Operation[RelayedContent]):
    """What one of the APIs that pass through whole is asked."""

    def __init__(
        self,
        api: RelayedApi,
        body: RequestBody,
        headers: Mapping[str, str],
        *,
        may_be_gzip: bool,
        only_at: str | None = None,
    ) -> None:
        """
        Args:
            headers: of the client's request; names in lower case.
            may_be_gzip: the client takes an answer that its upstream compressed so.
            only_at: the provider that keeps what the request goes on from.
        """
        self.verb = api.verb
        self.size = RequestSize(body.text_bytes, body.media)
        self.most_output = 0
        self._api = api
        self._body = body
        self._headers = headers
        self._may_be_gzip = may_be_gzip
        self._only_at = only_at

    def served_by(self, target: Target) -> bool:
        provider = target.provider
        return self._api.api in provider.profile.paths and self._only_at in (None, provider.name)

    def wordings(self, target: Target) -> tuple[Wording, ...]:
        traits = target.provider.profile.traits_of(target.model_id)
        return (Wording(api=self._api.api, dialect=self._api.dialect, traits=traits),)

    def prepare(self, target: Target, wording: Wording) -> RelayCall:
        profile = target.provider.profile
        headers = dict(target.provider.headers)
        for name in ("content-type", "accept", *profile.forwarded_headers):
            if name in self._headers:
                headers[name] = self._headers[name]
        if self._may_be_gzip:
            headers["accept-encoding"] = "gzip"
        return RelayCall(
            UpstreamRequest(
                target=target,
                api=self._api.api,
                dialect=self._api.dialect,
                passes_through=True,
                path=profile.path_of(self._api.api, target.model_id),
                body=self._bytes_for(target),
                headers=headers,
            ),
            self._api,
        )

    def _bytes_for(self, target: Target) -> bytes:
        own_default = target.provider.profile.default_models.get(self._api.api)
        if self._body.model is None and target.model_id == own_default:
            return self._body.raw
        return self._body.with_model(target.model_id)


class RelayCall(PreparedCall[RelayedContent]):
    """A request on its way to a target of the same API."""

    def __init__(self, request: UpstreamRequest, api: RelayedApi) -> None:
        super().__init__(request)
        self._api = api

    async def read(self, answer: UpstreamAnswer) -> RelayedContent:
        if answer.status >= 300:
            raise CallFailed(server_failed("the upstream answered with a redirect"))
        content_type = answer.headers.get("content-type", "application/octet-stream")
        headers = {"content-type": content_type}
        coding = answer.headers.get("content-encoding")
        if coding is not None:
            headers["content-encoding"] = coding
        if _kind(content_type) == _JSON:
            body = await answer.read(LARGEST_ANSWER)
            return RelayedWhole(body, headers, self._read_json(body, coding))
        first = await answer.next_chunk()
        if not first:
            return RelayedWhole(b"", headers, None)
        is_readable = _kind(content_type) == EVENT_STREAM and coding is None
        meter = _Meter(self._api) if is_readable else None
        return RelayedStream(self.request.target, answer, first, headers, meter)

    def _read_json(self, body: bytes, coding: str | None) -> Usage | None:
        """What a whole answer says that it used.

        Raises:
            CallFailed: it is no JSON, or an error with status 200.
        """
        fields = read_json(body if coding is None else _unpacked(body))
        error = self._api.read_error(fields)
        if error is not None:
            raise CallFailed(said_in_answer(self.request.target, error))
        return self._api.read_usage(fields)


class _Meter:
    """Reads in a passing stream of events what it says was used, and by what it broke."""

    def __init__(self, api: RelayedApi) -> None:
        self.usage: Usage | None = None
        self.error: StreamError | None = None
        self._api = api
        self._framer: SseFramer | None = SseFramer()

    def feed(self, data: bytes) -> None:
        if self._framer is None:
            return
        try:
            events = self._framer.feed(data)
        except FrameTooLong:
            self._framer = None
            return
        for event in events:
            if b'"usage"' not in event.data and b'"error"' not in event.data:
                continue
            try:
                fields = loads_object(event.data)
            except InvalidJson:
                continue
            self.usage = self._api.read_usage(fields) or self.usage
            self.error = self._api.read_error(fields) or self.error


def model_standing_in(gateway: Gateway, api: RelayedApi, client: Client) -> str | None:
    """The model for a request that names none: what the first provider takes by itself, else the
    first configured one that has a target with such an API, of those that ``client`` may use."""
    for provider in gateway.providers.values():
        default = provider.profile.default_models.get(api.api)
        if default is not None and client.may_use(f"{provider.name}/{default}"):
            return f"{provider.name}/{default}"
    for name in gateway.settings.models:
        targets = gateway.settings.targets_of(name)
        providers = (gateway.providers[split_target(target)[0]] for target in targets)
        if has_star(name) or not client.may_use(name):
            continue
        if any(api.api in provider.profile.paths for provider in providers):
            return name
    return None


def _kind(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _unpacked(body: bytes) -> bytes:
    """A body that was asked for as gzip, for reading.

    Raises:
        CallFailed: it is none.
    """
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        text = unpacker.decompress(body, LARGEST_ANSWER)
    except zlib.error:
        text = b""
    if not unpacker.eof:
        raise CallFailed(server_failed("the upstream's answer is not validly compressed"))
    return text
