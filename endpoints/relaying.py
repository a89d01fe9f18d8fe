"""Sending on what an upstream answers, bytes as they come."""

from __future__ import annotations

from forebay.actors.gateway.relay_operation import (
    EVENT_STREAM,
    RelayedContent,
    RelayedStream,
    RelayedWhole,
)
from forebay.actors.jobs.failures import JobHistory
from forebay.endpoints.errors import answer_headers
from forebay.endpoints.session import STREAM_HEADERS, Session, SessionParts
from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind
from forebay.protocol.dialects.registry import SPEECH
from forebay.protocol.jsontext import dumps


class RelayingSession(Session):
    """A session that may do so. Between whole events it can speak itself: to keep its client
    alive, or to tell what went wrong."""

    def __init__(self, parts: SessionParts) -> None:
        super().__init__(parts)
        self._at_frame_end = True

    async def _relay(self, content: RelayedContent, history: JobHistory) -> None:
        match content:
            case RelayedWhole():
                await self._relay_whole(content, history)
            case RelayedStream():
                await self._relay_stream(content, history)

    async def _relay_whole(self, whole: RelayedWhole, history: JobHistory) -> None:
        if self._streams and self._reply.committed:
            # The head promised events; this body would be read as none at all.
            raise _not_as_promised("whole, although a stream was asked for")
        headers = {**answer_headers(history), **whole.headers}
        content_type = headers.pop("content-type")
        await self._reply.whole(200, whole.body, content_type, headers)

    async def _relay_stream(self, stream: RelayedStream, history: JobHistory) -> None:
        is_events = stream.content_type.startswith(EVENT_STREAM)
        if self._reply.committed and is_events != self._streams:
            raise _not_as_promised(f"as '{stream.content_type[:100]}', which was not asked for")
        headers = {**(STREAM_HEADERS if is_events else {}), **answer_headers(history)}
        headers.update(stream.headers)
        is_framed = is_events and "content-encoding" not in stream.headers
        self._at_frame_end = is_framed
        await self._reply.commit(headers.pop("content-type"), headers)
        async for chunk in stream:
            await self._reply.write(chunk)
            self._at_frame_end = is_framed and chunk.endswith((b"\n\n", b"\r\n\r\n"))
        if stream.failed:
            # Broken off: the transfer must not end as if all had been said.
            return
        await self._reply.finish()

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
