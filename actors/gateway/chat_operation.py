"""Asking for a chat answer: which of a target's APIs is asked, and how its answer begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

import trio

from forebay.actors.gateway.answers import Piece, StreamedAnswer, WholeAnswer
from forebay.actors.gateway.calls import LARGEST_ANSWER, read_json, said_in_answer, server_failed
from forebay.actors.gateway.failures import CallFailed
from forebay.actors.gateway.operations import (
    Inbound,
    Operation,
    PreparedCall,
    UpstreamRequest,
    Wording,
    codecs_of,
    wording_for,
    write_request,
)
from forebay.actors.gateway.provider import Target
from forebay.actors.gateway.sizes import measure
from forebay.actors.upstream import UpstreamAnswer
from forebay.protocol.canonical.assembly import events_of
from forebay.protocol.canonical.errors import ApiFailure
from forebay.protocol.canonical.events import Finish, StreamError, StreamEvent, is_content
from forebay.protocol.canonical.images import links_to_images, with_images_inline
from forebay.protocol.canonical.requests import ChatRequest, InlineData
from forebay.protocol.dialects.base import ChatCodec
from forebay.protocol.dialects.registry import CODECS
from forebay.protocol.dialects.stop_text import WithoutStopText

_LARGEST_READ_AHEAD = 1024 * 1024
"""Bytes of comments and empty events before any content."""

ChatContent: TypeAlias = StreamedAnswer | WholeAnswer


class ChatOperation(Operation[ChatContent]):
    """One chat answer, whole or as a stream."""

    verb = "answers chats"

    def __init__(
        self, request: ChatRequest, codec: ChatCodec | None = None, inbound: Inbound | None = None
    ) -> None:
        """
        Args:
            codec: of the API that the client speaks; None where it takes canonical events.
            inbound: the request as it came; None where there are no bytes.
        """
        self.request = request
        self.size = measure(request)
        self.most_output = request.max_output_tokens
        self._codec = codec
        self._inbound = inbound

    def served_by(self, target: Target) -> bool:
        return bool(codecs_of(target, CODECS))

    def is_own_api_of(self, target: Target) -> bool:
        """Whether ``target`` would be asked in the API in which the client asks."""
        return self._codec_for(target) is self._codec

    def wording(self, target: Target) -> Wording | None:
        codec = self._codec_for(target)
        return wording_for(target, codec, self.request, self._inbound_for(codec))

    @property
    def image_links(self) -> tuple[str, ...]:
        return links_to_images(self.request)

    def follows_links(self, target: Target) -> bool:
        return self._codec_for(target).takes_image_links

    def with_images(self, images: Mapping[str, InlineData]) -> ChatOperation:
        return ChatOperation(with_images_inline(self.request, images), self._codec, self._inbound)

    def prepare(self, target: Target) -> ChatCall:
        codec = self._codec_for(target)
        inbound = self._inbound_for(codec)
        request = write_request(target, codec, self.request, inbound)
        traits = target.provider.profile.traits_of(target.model_id)
        stop = self.request.stop if traits.keeps_stop_text else ()
        return ChatCall(request, codec, streams=self.request.stream, left_in=stop)

    def _inbound_for(self, codec: ChatCodec) -> Inbound | None:
        return self._inbound if codec is self._codec else None

    def _codec_for(self, target: Target) -> ChatCodec:
        """The client's own API if the target has it, else the one that says most."""
        profile = target.provider.profile
        codecs = [
            codec
            for codec in codecs_of(target, CODECS)
            if not codec.completes_text or profile.completes_text(target.model_id)
        ]
        if self._codec in codecs:
            return self._codec
        if self.request.completion is not None:
            return next((codec for codec in codecs if codec.completes_text), codecs[0])
        return codecs[0]


class ChatCall(PreparedCall[ChatContent]):
    """A chat request as it goes to a target."""

    def __init__(
        self,
        request: UpstreamRequest,
        codec: ChatCodec,
        *,
        streams: bool,
        left_in: tuple[str, ...] = (),
    ) -> None:
        """
        Args:
            left_in: stop sequences that the upstream leaves in its streams.
        """
        super().__init__(request)
        self._left_in = left_in
        self._codec = codec
        self._streams = streams

    async def read(self, answer: UpstreamAnswer) -> ChatContent:
        if self._streams and not self._is_whole_json(answer):
            return await self._begin_stream(answer)
        return await self._read_whole(answer)

    def _is_whole_json(self, answer: UpstreamAnswer) -> bool:
        """Some servers answer whole although a stream was asked for."""
        content_type = answer.headers.get("content-type", "")
        return content_type.startswith("application/json") and not (
            self._codec.stream_content_type.startswith("application/json")
            or self._codec.stream_content_type.startswith("application/x-ndjson")
        )

    async def _begin_stream(self, answer: UpstreamAnswer) -> StreamedAnswer:
        """Read ahead to the first content."""
        decoder = self._codec.stream_decoder()
        if self._left_in:
            decoder = WithoutStopText(decoder, self._left_in)
        read_ahead: list[Piece] = []
        size = 0
        while True:
            chunk = await answer.next_chunk()
            size += len(chunk)
            if size > _LARGEST_READ_AHEAD:
                raise CallFailed(server_failed("the upstream streams much and says nothing"))
            events = decoder.feed(chunk) if chunk else decoder.close()
            read_ahead.append(Piece(chunk, events))
            for event in events:
                if isinstance(event, StreamError):
                    raise CallFailed(said_in_answer(self.request.target, event))
                if is_content(event) or isinstance(event, Finish):
                    return StreamedAnswer(
                        self.request, answer, decoder, read_ahead, at_end=not chunk
                    )
            await trio.lowlevel.checkpoint_if_cancelled()

    async def _read_whole(self, answer: UpstreamAnswer) -> ChatContent:
        body = await answer.read(LARGEST_ANSWER)
        try:
            response = self._codec.decode_response(read_json(body))
        except ApiFailure as failure:
            event = StreamError(failure.error)
            raise CallFailed(said_in_answer(self.request.target, event)) from None
        if self._streams:
            events: list[StreamEvent] = list(events_of(response))
            request = replace(self.request, passes_through=False)
            decoder = self._codec.stream_decoder()
            return StreamedAnswer(request, answer, decoder, [Piece(b"", events)], at_end=True)
        return WholeAnswer(self.request, body, response, answer.headers.get("content-type"))
