"""A session whose request and answer pass through as bytes: images, sound, moderations, ranks."""

from __future__ import annotations

from forebay.actors.gateway.relay_operation import (
    EVENT_STREAM,
    RelayOperation,
    model_standing_in,
)
from forebay.actors.jobs.operations import ContentT, Operation
from forebay.actors.routing.catalog import Resolution
from forebay.endpoints.relaying import RelayingSession
from forebay.endpoints.session import SessionParts
from forebay.protocol.canonical.errors import bad_request
from forebay.protocol.dialects.fields import missing
from forebay.protocol.dialects.relayed import RelayedApi
from forebay.protocol.multipart import is_form
from forebay.protocol.request_bodies import RequestBody, read_body


class RelaySession(RelayingSession):
    """Serves one request of an API that is never translated."""

    def __init__(self, parts: SessionParts, api: RelayedApi) -> None:
        super().__init__(parts)
        self.dialect = api.dialect
        self._api = api
        self._content_type = parts.head.header("content-type")
        self._body_is_json = not is_form(self._content_type)

    async def _respond(self, body: bytes) -> None:
        request = read_body(body, self._content_type)
        self._streams = request.streams
        resolution = await self._resolve(self._model_of(request))
        await self._ask(self._operation(request, resolution), resolution)

    async def _resolve(
        self, model: str, operation: Operation[ContentT] | None = None
    ) -> Resolution:
        resolution = await super()._resolve(model, operation)
        if resolution.is_any:
            raise bad_request(
                f"model '{model}' is for chats, completions and embeddings: name a model here",
                param="model",
                code="model_lacks_capability",
            )
        return resolution

    def _operation(
        self, request: RequestBody, resolution: Resolution, *, only_at: str | None = None
    ) -> RelayOperation:
        # A held answer may have to begin before anybody knows how its upstream compresses it.
        held = self._silence_before_commit(resolution, streams=request.streams) is not None
        return RelayOperation(
            self._api,
            request,
            self._head.headers,
            may_be_gzip=not held and self._takes_gzip(),
            only_at=only_at,
        )

    async def _ask(self, operation: RelayOperation, resolution: Resolution) -> None:
        async with (
            self._held(resolution, EVENT_STREAM if self._streams else None),
            self._gateway.open_answer(self._job(operation, resolution), resolution) as answer,
        ):
            self._place.note = f"answering from {answer.history.target}"
            await self._relay(answer.content, answer.history)

    def _model_of(self, request: RequestBody) -> str:
        if request.model is not None:
            return request.model
        standing_in = None
        if not self._api.needs_model:
            standing_in = model_standing_in(self._gateway, self._api, self._client)
        if standing_in is None:
            raise missing("model")
        return standing_in

    def _takes_gzip(self) -> bool:
        for entry in (self._head.header("accept-encoding") or "").lower().split(","):
            coding, _, quality = entry.replace(" ", "").partition(";")
            if coding == "gzip":
                return quality.rstrip("0.") != "q="
        return False

    def _silence_before_commit(
        self, resolution: Resolution | None, *, streams: bool
    ) -> float | None:
        if not streams and not self._api.answers_json:
            # In sound, or in subtitles, nothing can stand that says nothing.
            return None
        return super()._silence_before_commit(resolution, streams=streams)
