"""A session that asks for a chat answer, whole or as a stream."""

from __future__ import annotations

import secrets
import time

from forebay.actors.gateway.gateway import Answer
from forebay.actors.jobs.answers import AnswerStream, Piece, WholeAnswer
from forebay.actors.jobs.chat_operation import ChatContent, ChatOperation
from forebay.actors.jobs.job import Job
from forebay.actors.providers.sizes import measure
from forebay.actors.routing.catalog import Resolution
from forebay.endpoints.errors import answer_headers
from forebay.endpoints.session import STREAM_HEADERS, Session, SessionParts
from forebay.protocol.canonical.errors import ApiError, ApiFailure
from forebay.protocol.canonical.events import Finish, StreamError
from forebay.protocol.canonical.requests import ChatRequest
from forebay.protocol.dialects.base import ChatCodec, ReplyContext, StreamEncoder
from forebay.protocol.jsontext import JsonObject


class ChatSession(Session):
    """Serves one chat request."""

    def __init__(self, parts: SessionParts, codec: ChatCodec) -> None:
        super().__init__(parts)
        self.dialect = codec.dialect
        self._codec = codec
        self._encoder: StreamEncoder | None = None
        self._at_frame_end = True

    async def _respond(self, body: bytes) -> None:
        request = self._codec.decode_request(self._fields(body))
        operation = ChatOperation(request, self._codec, self._inbound(body))
        resolution = await self._resolve(request.model, operation)
        context = self._context(request)
        whole = self._codec.reply_without_model(request, context)
        if whole is not None:
            await self._reply.json(200, whole, {})
            return
        await self._answer(self._job(operation, resolution), resolution, context)

    async def _answer(
        self, job: Job[ChatContent], resolution: Resolution, context: ReplyContext
    ) -> None:
        streams = context.request.stream
        self._encoder = self._codec.stream_encoder(context) if streams else None
        stream_type = self._codec.stream_content_type if streams else None
        async with (
            self._held(resolution, stream_type),
            self._gateway.open_answer(job, resolution) as answer,
        ):
            self._place.note = f"answering from {answer.history.target}"
            match answer.content:
                case WholeAnswer():
                    await self._send_whole(answer, answer.content, context)
                case AnswerStream():
                    await self._send_stream(answer, answer.content)

    def _context(self, request: ChatRequest) -> ReplyContext:
        return ReplyContext(
            request=request,
            response_id=secrets.token_hex(14),
            created=int(time.time()),
            input_tokens_estimate=max(1, round(measure(request).tokens(0.25))),
            elapsed_ns=self._elapsed_ns,
            reasoning_field=self._gateway.settings.defaults.reasoning_field,
        )

    def _keep_alive_frame(self) -> bytes | None:
        if not self._at_frame_end:
            # Between the bytes of another server's unfinished frame nothing may stand.
            return None
        return super()._keep_alive_frame() if self._encoder is None else self._encoder.keepalive()

    def _error_frame(self, error: ApiError) -> bytes | None:
        if self._encoder is None or not self._at_frame_end:
            return None
        return self._encoder.encode(StreamError(error))

    async def _send_whole(
        self, answer: Answer[ChatContent], content: WholeAnswer, context: ReplyContext
    ) -> None:
        headers = answer_headers(answer.history, content.request.dropped)
        if content.request.passes_through:
            await self._whole_is_ready(content, None, context)
            await self._reply.whole(200, content.body, content.content_type, headers)
        else:
            encoded = self._codec.encode_response(content.response, context)
            await self._whole_is_ready(content, encoded, context)
            await self._reply.json(200, encoded, headers)

    async def _send_stream(self, answer: Answer[ChatContent], content: AnswerStream) -> None:
        assert self._encoder is not None
        passes_through = content.request.passes_through
        headers = {**STREAM_HEADERS, **answer_headers(answer.history, content.request.dropped)}
        content_type = self._codec.stream_content_type
        if passes_through and content.content_type is not None:
            content_type = content.content_type
        await self._reply.commit(content_type, headers)
        async for piece in content:
            if passes_through and piece.said_by_upstream:
                await self._write(self._encoder.relay(piece.raw), piece)
                self._at_frame_end = piece.raw.endswith((b"\n\n", b"\r\n\r\n")) or (
                    piece.raw.endswith(b"\n") and not _is_sse(content_type)
                )
            elif passes_through:
                # Only an error that was noticed here has no bytes of the upstream.
                for event in piece.events:
                    if isinstance(event, StreamError):
                        await self._fail(ApiFailure(event.error))
            else:
                await self._write(b"".join(map(self._encoder.encode, piece.events)), piece)
        if content.failed:
            # Broken off: the transfer must not end as if all had been said.
            return
        await self._reply.finish()

    async def _write(self, data: bytes, piece: Piece) -> None:
        if any(isinstance(event, Finish) for event in piece.events):
            await self._stream_is_ready_to_end()
        await self._reply.write(data)

    # For those who keep answers.

    async def _whole_is_ready(
        self, content: WholeAnswer, encoded: JsonObject | None, context: ReplyContext
    ) -> None:
        """A whole answer is about to be sent.

        Args:
            encoded: what the client gets; None where it gets the upstream's own bytes.
        """

    async def _stream_is_ready_to_end(self) -> None:
        """The encoder has been told all of a stream; its last bytes are about to be sent."""


def _is_sse(content_type: str) -> bool:
    return content_type.startswith("text/event-stream")
