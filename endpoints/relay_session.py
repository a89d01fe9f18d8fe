"""A session whose request and answer pass through as bytes: images, sound, moderations, ranks."""

from __future__ import annotations

from forebay.actors.gateway.catalog import Resolution
from forebay.actors.gateway.gateway import Answer
from forebay.actors.gateway.relay_operation import (
    EVENT_STREAM,
    RelayedContent,
    RelayedStream,
    RelayedWhole,
    RelayOperation,
    model_standing_in,
)
from forebay.endpoints.errors import answer_headers
from forebay.endpoints.session import STREAM_HEADERS, Session, SessionParts
from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind
from forebay.protocol.dialects.fields import missing
from forebay.protocol.dialects.registry import SPEECH
from forebay.protocol.dialects.relayed import RelayedApi
from forebay.protocol.jsontext import dumps
from forebay.protocol.multipart import is_form
from forebay.protocol.request_bodies import RequestBody, read_body


class RelaySession(Session):
    """Serves one request of an API that is never translated."""

    def __init__(self, parts: SessionParts, api: RelayedApi) -> None:
        super().__init__(parts)
        self.dialect = api.dialect
        self._api = api
        self._content_type = parts.head.header("content-type")
        self._body_is_json = not is_form(self._content_type)
        self._streams = False
        self._at_frame_end = True

    async def _respond(self, body: bytes) -> None:
        request = read_body(body, self._content_type)
        self._streams = request.streams
        resolution = await self._resolve(self._model_of(request))
        # A held answer may have to begin before anybody knows how its upstream compresses it.
        held = self._silence_before_commit(resolution, streams=request.streams) is not None
        operation = RelayOperation(
            self._api, request, self._head.headers, may_be_gzip=not held and self._takes_gzip()
        )
        async with (
            self._held(resolution, EVENT_STREAM if request.streams else None),
            self._gateway.open_answer(self._job(operation, resolution), resolution) as answer,
        ):
            self._place.note = f"answering from {answer.history.target}"
            await self._send(answer)

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

    async def _send(self, answer: Answer[RelayedContent]) -> None:
        match answer.content:
            case RelayedWhole() as whole:
                await self._send_whole(answer, whole)
            case RelayedStream() as stream:
                await self._send_stream(answer, stream)

    async def _send_whole(self, answer: Answer[RelayedContent], whole: RelayedWhole) -> None:
        if self._streams and self._reply.committed:
            # The head promised events; this body would be read as none at all.
            raise _not_as_promised("whole, although a stream was asked for")
        headers = {**answer_headers(answer.history), **whole.headers}
        content_type = headers.pop("content-type")
        await self._reply.whole(200, whole.body, content_type, headers)

    async def _send_stream(self, answer: Answer[RelayedContent], stream: RelayedStream) -> None:
        is_events = stream.content_type.startswith(EVENT_STREAM)
        if self._reply.committed and is_events != self._streams:
            raise _not_as_promised(f"as '{stream.content_type[:100]}', which was not asked for")
        self._at_frame_end = False
        headers = {**(STREAM_HEADERS if is_events else {}), **answer_headers(answer.history)}
        headers.update(stream.headers)
        await self._reply.commit(headers.pop("content-type"), headers)
        is_framed = is_events and "content-encoding" not in stream.headers
        async for chunk in stream:
            await self._reply.write(chunk)
            self._at_frame_end = is_framed and chunk.endswith((b"\n\n", b"\r\n\r\n"))
        if stream.failed:
            # Broken off: the transfer must not end as if all had been said.
            return
        await self._reply.finish()

    def _silence_before_commit(self, resolution: Resolution, *, streams: bool) -> float | None:
        if not streams and not self._api.answers_json:
            # In sound, or in subtitles, nothing can stand that says nothing.
            return None
        return super()._silence_before_commit(resolution, streams=streams)

    def _keep_alive_frame(self) -> bytes | None:
        if not self._streams:
            return super()._keep_alive_frame()
        return b": keep-alive\n\n" if self._at_frame_end else None

    def _error_frame(self, error: ApiError) -> bytes | None:
        if not self._streams or not self._at_frame_end:
            return None
        spoken = SPEECH[self.dialect].encode_error(error, self._request_id)
        return b"data: %b\n\n" % dumps(spoken.body)


def _not_as_promised(how: str) -> ApiFailure:
    return ApiFailure(
        ApiError(kind=ErrorKind.UPSTREAM_ERROR, message=f"the upstream answered {how}")
    )
