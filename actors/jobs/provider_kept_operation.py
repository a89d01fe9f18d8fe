"""Asking for an answer that its provider keeps: in the background, or going on from one of these.

Such a request goes to a provider that keeps answers, in its own words, and the answer comes back as
it is: the client is to know it by the provider's own id, and its events by the provider's own
numbers, or it could not be asked for again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from forebay.actors.jobs.calls import server_failed
from forebay.actors.jobs.chat_operation import ChatCall, ChatContent, ChatOperation
from forebay.actors.jobs.failures import CallFailed
from forebay.actors.jobs.operations import Inbound, UpstreamRequest, Wording
from forebay.actors.jobs.wordings import write_request
from forebay.actors.providers.provider import Target
from forebay.actors.upstream import UpstreamAnswer
from forebay.protocol.canonical.events import Start, StreamEvent
from forebay.protocol.canonical.images import with_images_inline
from forebay.protocol.canonical.requests import ChatRequest, InlineData
from forebay.protocol.dialects.base import ChatCodec, EncodedRequest
from forebay.protocol.jsontext import JsonObject

_KEEPING: Final = ("background", "background_options", "store")
"""Fields that say how the answer is kept."""


class ProviderKeptOperation(ChatOperation):
    """One answer that is kept where it is made."""

    verb = "keeps answers"

    def __init__(
        self,
        request: ChatRequest,
        codec: ChatCodec,
        inbound: Inbound,
        *,
        fields: JsonObject,
        only_at: str | None = None,
    ) -> None:
        """
        Args:
            codec: of the API that the client speaks; only providers that have it are asked.
            fields: the request, as it came.
            only_at: the provider that keeps what the request goes on from.
        """
        super().__init__(request, codec, inbound)
        self._own = codec
        self._came = inbound
        self._fields = fields
        self._only_at = only_at

    def served_by(self, target: Target) -> bool:
        provider = target.provider
        return (
            provider.profile.keeps_responses
            and self._own.api in provider.profile.paths
            and self._only_at in (None, provider.name)
        )

    def wordings(self, target: Target) -> tuple[Wording, ...]:
        own = (each for each in super().wordings(target) if each.api == self._own.api)
        return tuple(map(self._as_kept, own))

    def _as_kept(self, wording: Wording) -> Wording:
        """What is written anew, because the gateway knows more of the conversation than the
        provider, still says how the answer is to be kept."""
        encode = wording.encode
        if encode is None:
            return wording

        def encode_as_kept() -> EncodedRequest:
            encoded = encode()
            body = {name: value for name, value in encoded.body.items() if name not in _KEEPING}
            body.update((name, self._fields[name]) for name in _KEEPING if name in self._fields)
            return replace(encoded, body=body)

        return replace(wording, encode=encode_as_kept)

    @property
    def can_be_continued(self) -> bool:
        # The provider keeps all of it, by an id of its own.
        return False

    def with_images(self, images: Mapping[str, InlineData]) -> ProviderKeptOperation:
        return ProviderKeptOperation(
            with_images_inline(self.request, images),
            self._own,
            self._came,
            fields=self._fields,
            only_at=self._only_at,
        )

    def prepare(self, target: Target, wording: Wording) -> ProviderKeptCall:
        request = replace(write_request(target, wording), passes_through=True)
        state = self.request.state
        in_background = state is not None and state.background
        return ProviderKeptCall(
            request, self._own, streams=self.request.stream, in_background=in_background
        )


class ProviderKeptCall(ChatCall):
    """Such a request on its way."""

    def __init__(
        self, request: UpstreamRequest, codec: ChatCodec, *, streams: bool, in_background: bool
    ) -> None:
        super().__init__(request, codec, streams=streams)
        self._in_background = in_background

    async def read(self, answer: UpstreamAnswer) -> ChatContent:
        if self._streams and self._is_whole_json(answer):
            # Told as a stream it would end before it has begun.
            raise CallFailed(
                server_failed("the upstream answered whole, although a stream was asked for")
            )
        return await super().read(answer)

    def _has_begun(self, event: StreamEvent) -> bool:
        # In the background it is there as soon as it has an id: asking anew would make another.
        begun = self._in_background and isinstance(event, Start) and bool(event.id)
        return begun or super()._has_begun(event)
