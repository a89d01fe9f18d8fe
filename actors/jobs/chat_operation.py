"""Asking for a chat answer: which of a target's APIs is asked, and how its answer begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import trio

from forebay.actors.jobs.answers import (
    AnswerStream,
    Piece,
    StreamedAnswer,
    WholeAnswer,
    read_pieces,
)
from forebay.actors.jobs.calls import LARGEST_ANSWER, read_json, said_in_answer, server_failed
from forebay.actors.jobs.conversations import conversation_of
from forebay.actors.jobs.failures import CallFailed
from forebay.actors.jobs.operations import (
    Inbound,
    Operation,
    PreparedCall,
    UpstreamRequest,
    Wording,
)
from forebay.actors.jobs.wordings import codecs_of, wordings_of, write_request
from forebay.actors.providers.manners import Manner
from forebay.actors.providers.provider import Target
from forebay.actors.providers.sizes import measure
from forebay.actors.upstream import UpstreamAnswer
from forebay.protocol.canonical.assembly import events_of
from forebay.protocol.canonical.continuations import (
    SplicedAnswer,
    can_be_continued,
    continued,
)
from forebay.protocol.canonical.errors import ApiFailure
from forebay.protocol.canonical.events import Finish, StreamError, StreamEvent, is_content
from forebay.protocol.canonical.images import links_to_images, with_images_inline
from forebay.protocol.canonical.request_needs import needs_of_chat
from forebay.protocol.canonical.requests import ChatRequest, InlineData
from forebay.protocol.dialects.base import ChatCodec
from forebay.protocol.dialects.registry import CODECS
from forebay.protocol.dialects.stop_text import WithoutStopText
from forebay.protocol.jsontext import JsonValue

_LARGEST_READ_AHEAD = 1024 * 1024
"""Bytes of comments and empty events before any content."""

ChatContent: TypeAlias = AnswerStream | WholeAnswer


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
        self.most_output = (
            None
            if request.max_output_tokens is None
            else request.max_output_tokens * request.choices
        )
        self.longest_answer = request.max_output_tokens
        self.needs = needs_of_chat(request)
        if not _may_be_shortened(request):
            self.needs = replace(self.needs, context_tokens=self.size.least_tokens)
        self.streams = request.stream
        self.service_tier = request.service_tier
        self._codec = codec
        self._inbound = inbound
        self._wordings: dict[Manner, tuple[Wording, ...]] = {}
        """By the kind of provider, and what there is to know of the server, which is held."""

    def conversation(self, client: str) -> int | None:
        return conversation_of(self.request, client)

    def served_by(self, target: Target) -> bool:
        return bool(codecs_of(target, CODECS))

    def is_own_api_of(self, target: Target) -> bool:
        """Whether ``target`` has the API in which the client asks."""
        return self._codec in self._codecs_of(target)

    def wordings(self, target: Target) -> tuple[Wording, ...]:
        # Many targets are asked in the same words, and few are there to be asked.
        manner = target.provider.manner_of(target.model_id)
        known = self._wordings.get(manner)
        if known is None:
            known = self._wordings[manner] = self._wordings_for(target)
        return known

    def _wordings_for(self, target: Target) -> tuple[Wording, ...]:
        codecs = self._codecs_of(target)
        wordings = wordings_of(self.request, self.size, target, codecs, self._codec, self._inbound)
        if self.request.continues:
            wordings = tuple(map(self._written_anew, wordings))
        if self.request.completion is None:
            return wordings
        return tuple(replace(w, roundabout=not CODECS[w.api].completes_text) for w in wordings)

    def _written_anew(self, wording: Wording) -> Wording:
        """What came is not what is asked any more, but it may have come with headers that count."""
        encode = partial(CODECS[wording.api].encode_request, self.request, wording.traits)
        return replace(wording, encode=encode)

    @property
    def can_be_continued(self) -> bool:
        """Whether its answer may come from several calls, one going on where another broke off."""
        return can_be_continued(self.request)

    def for_rest_of(self, answer: SplicedAnswer) -> ChatOperation | None:
        """What asks for the rest of its answer; None: nothing can."""
        request = continued(self.request, answer)
        return None if request is None else ChatOperation(request, self._codec, self._inbound)

    def unfollowed_links(self, target: Target) -> tuple[str, ...]:
        links = links_to_images(self.request)
        if not links or any(each.encode is None for each in self.wordings(target)):
            return ()
        codecs = self._codecs_of(target)
        return tuple(
            link for link in links if not any(codec.losses.takes_image_at(link) for codec in codecs)
        )

    def with_images(self, images: Mapping[str, InlineData]) -> ChatOperation:
        return ChatOperation(with_images_inline(self.request, images), self._codec, self._inbound)

    def prepare(self, target: Target, wording: Wording) -> ChatCall:
        request = write_request(target, wording)
        stop = self.request.stop if wording.traits.keeps_stop_text else ()
        return ChatCall(request, CODECS[wording.api], streams=self.request.stream, left_in=stop)

    def _codecs_of(self, target: Target) -> list[ChatCodec]:
        """Of the APIs in which ``target`` may be asked, closest to the client's own first; for
        texts to be gone on with first those that know them as such."""
        profile = target.provider.profile
        codecs = [
            codec
            for codec in codecs_of(target, CODECS, self._codec)
            if not codec.completes_text or profile.completes_text(target.model_id)
        ]
        if self.request.completion is not None:
            codecs.sort(key=lambda codec: not codec.completes_text)
        return codecs


def _may_be_shortened(request: ChatRequest) -> bool:
    """Whether a model may read less at a time than all of its text, or more than is known of it:
    one prompt of several, what the server leaves of a conversation (``truncation`` of OpenAI's
    Responses API), a context that the request itself asks for."""
    if request.completion is not None and len(request.completion.prompts) > 1:
        return True
    return any(
        fields.get("truncation") == "auto" or _says_own_context(fields.get("options"))
        for fields in request.extras.values()
    )


def _says_own_context(options: JsonValue) -> bool:
    """Ollama loads a model anew with the context that a request asks for."""
    return isinstance(options, dict) and "num_ctx" in options


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
            pieces = read_pieces(decoder, chunk) if chunk else [Piece(b"", decoder.close())]
            read_ahead += pieces
            for event in (event for piece in pieces for event in piece.events):
                if isinstance(event, StreamError):
                    raise CallFailed(said_in_answer(self.request.target, event))
                if self._has_begun(event):
                    return StreamedAnswer(
                        self.request, answer, decoder, read_ahead, at_end=not chunk
                    )
            await trio.lowlevel.checkpoint_if_cancelled()

    def _has_begun(self, event: StreamEvent) -> bool:
        """Whether this event makes the answer one that is handed out."""
        return is_content(event) or isinstance(event, Finish)

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
