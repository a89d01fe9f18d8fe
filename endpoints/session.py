"""A session: one request for an answer, from its head to its last byte.

A session is an actor in the task that the server made for the request. Everything it holds (its
place in a queue, a permit, an upstream call, bytes of memory) is held by that task, so that
cancelling it returns all of it: that is what happens when the client leaves.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Mapping
from typing import cast

import trio
from hypercorn.typing import HTTPScope

from forebay.actors.config import Hold
from forebay.actors.gateway.answers import StreamedAnswer, WholeAnswer
from forebay.actors.gateway.calls import unspeakable
from forebay.actors.gateway.catalog import Resolution
from forebay.actors.gateway.gateway import Answer, Gateway
from forebay.actors.gateway.jobs import Client, Job, QueryField, measure
from forebay.actors.gateway.opening import SESSION_LAYER
from forebay.endpoints.bodies import BodyReader, ClientGone, Receive
from forebay.endpoints.errors import error_answer, history_headers
from forebay.endpoints.heads import RequestHead
from forebay.endpoints.replies import Reply
from forebay.endpoints.serving import CLIENT_GONE
from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind, bad_request
from forebay.protocol.canonical.events import StreamError
from forebay.protocol.canonical.requests import ChatRequest
from forebay.protocol.dialects.base import ChatCodec, ReplyContext, StreamEncoder
from forebay.protocol.jsontext import InvalidJson, dumps, loads_object

_log = logging.getLogger("forebay.session")

_STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}
_JSON = "application/json"
_OWN_QUERY = frozenset({"max_wait_ms"})
"""Meant for the gateway, and for no provider."""


class ChatSession:
    """Serves one chat request."""

    def __init__(
        self,
        gateway: Gateway,
        bodies: BodyReader,
        codec: ChatCodec,
        head: RequestHead,
        client: Client,
        reply: Reply,
        request_id: str,
    ) -> None:
        self._gateway = gateway
        self._bodies = bodies
        self._codec = codec
        self._head = head
        self._client = client
        self._reply = reply
        self._request_id = request_id
        self._arrived_at = trio.current_time()
        self._encoder: StreamEncoder | None = None
        self._at_frame_end = True
        self._failed = False
        """The error was said in the stream; nothing may follow it."""
        self._scope = trio.CancelScope()
        self._cut: ApiFailure | None = None

    async def run(self, receive: Receive) -> None:
        """Answer the request. Returns early, with an unfinished answer, where only breaking it
        off tells the client the truth."""
        with self._gateway.system.adopt(
            self._gateway.next_session_name(), layer=SESSION_LAYER
        ) as place:
            self._place = place
            try:
                with self._scope:
                    await self._serve(receive)
            except ApiFailure as failure:
                await self._fail(failure)
            except (InvalidJson, RecursionError) as fault:
                await self._fail(unspeakable(fault))
            except ClientGone:
                return
            if self._cut is not None:
                await self._fail(self._cut)

    def cut(self, reason: ApiFailure) -> None:
        """End the session now: its client is told ``reason``."""
        self._cut = reason
        self._scope.cancel()

    async def _serve(self, receive: Receive) -> None:
        requested = self._head.max_wait_ms
        hold = self._head.hold
        self._place.note = "receiving"
        async with self._bodies.read(
            self._head,
            receive,
            holder=self._client.name,
            deadline=self._deadline(None, requested),
        ) as body:
            request = self._decode(body)
            self._place.note = f"waiting for {request.model}"
            resolution = await self._gateway.catalog.resolve(
                request.model, self._codec.dialect, self._client
            )
            whole = self._codec.reply_without_model(request, self._context(request))
            if whole is not None:
                await self._reply.json(200, whole, {})
                return
            job = Job(
                codec=self._codec,
                request=request,
                raw_body=body,
                client=self._client,
                arrived_at=self._arrived_at,
                deadline=self._deadline(resolution, requested),
                forwarded_headers=self._head.headers,
                forwarded_query=tuple(
                    QueryField(name, value)
                    for name, value in self._head.query.items()
                    if name not in _OWN_QUERY
                ),
            )
            await self._answer(job, resolution, hold)

    def _decode(self, body: bytes) -> ChatRequest:
        try:
            fields = loads_object(body)
        except InvalidJson as fault:
            raise bad_request(
                f"the request body is not valid JSON: {fault}", code="invalid_json"
            ) from None
        return self._codec.decode_request(fields)

    def _deadline(self, resolution: Resolution | None, requested_ms: int | None) -> float:
        wait_ms = self._gateway.settings.max_wait_ms_for(
            model=None if resolution is None else resolution.name,
            client=self._client.name,
            requested_ms=requested_ms,
        )
        return self._arrived_at + wait_ms / 1000

    async def _answer(self, job: Job, resolution: Resolution, hold: Hold | None) -> None:
        request = job.request
        context = self._context(request)
        self._encoder = self._codec.stream_encoder(context) if request.stream else None
        begin = self._silence_before_commit(resolution, hold, streams=request.stream)
        async with trio.open_nursery() as nursery:
            if begin is not None:
                nursery.start_soon(self._keep_alive, begin)
            try:
                async with self._gateway.open_answer(job, resolution) as answer:
                    self._place.note = f"answering from {answer.history.target}"
                    match answer.content:
                        case WholeAnswer():
                            await self._send_whole(answer, answer.content, context)
                        case StreamedAnswer():
                            await self._send_stream(answer, answer.content)
            except ApiFailure as failure:
                await self._fail(failure)
            nursery.cancel_scope.cancel()

    def _context(self, request: ChatRequest) -> ReplyContext:
        arrived_at = self._arrived_at
        return ReplyContext(
            request=request,
            response_id=secrets.token_hex(14),
            created=int(time.time()),
            input_tokens_estimate=max(1, round(measure(request).tokens(0.25))),
            elapsed_ns=lambda: round((trio.current_time() - arrived_at) * 1e9),
        )

    # Holding.

    def _silence_before_commit(
        self, resolution: Resolution, requested: Hold | None, *, streams: bool
    ) -> float | None:
        """Seconds after which a waiting answer commits; None: never."""
        settings = self._gateway.settings
        hold = settings.hold_for(
            model=resolution.name, client=self._client.name, requested=requested
        )
        if hold is Hold.SILENT or (hold is Hold.AUTO and not streams):
            return None
        wait = settings.wait
        return (wait.keepalive_after_ms if streams else wait.json_keepalive_after_ms) / 1000

    async def _keep_alive(self, begin: float) -> None:
        """Keep the client's timers from running out, whatever the silence is due to."""
        every = self._gateway.settings.wait.keepalive_every_ms / 1000
        await trio.sleep_until(self._arrived_at + begin)
        encoder = self._encoder
        content_type = _JSON if encoder is None else self._codec.stream_content_type
        headers: Mapping[str, str] = {} if encoder is None else _STREAM_HEADERS
        if self._reply.committed:
            await trio.sleep_until(self._reply.last_write + every)
        while not self._reply.finished:
            due = self._reply.last_write + every
            if self._reply.committed and due > trio.current_time():
                await trio.sleep_until(due)
                continue
            await self._reply.keep_alive(self._keep_alive_frame, content_type, headers)
            await trio.sleep(every)

    def _keep_alive_frame(self) -> bytes | None:
        if not self._at_frame_end:
            # Between the bytes of another server's unfinished frame nothing may stand.
            return None
        return b"\n" if self._encoder is None else self._encoder.keepalive()

    # Answers.

    async def _send_whole(
        self, answer: Answer, content: WholeAnswer, context: ReplyContext
    ) -> None:
        headers = history_headers(answer.history)
        if content.request.dropped:
            headers["x-forebay-dropped"] = ", ".join(content.request.dropped)
        if content.request.passes_through:
            await self._reply.whole(200, content.body, content.content_type, headers)
        else:
            encoded = self._codec.encode_response(content.response, context)
            await self._reply.whole(200, dumps(encoded), _JSON, headers)

    async def _send_stream(self, answer: Answer, content: StreamedAnswer) -> None:
        assert self._encoder is not None
        passes_through = content.request.passes_through
        headers = {**_STREAM_HEADERS, **history_headers(answer.history)}
        if content.request.dropped:
            headers["x-forebay-dropped"] = ", ".join(content.request.dropped)
        content_type = self._codec.stream_content_type
        if passes_through and content.content_type is not None:
            content_type = content.content_type
        await self._reply.commit(content_type, headers)
        async for piece in content:
            if passes_through and piece.said_by_upstream:
                await self._reply.write(piece.raw)
                self._at_frame_end = piece.raw.endswith((b"\n\n", b"\r\n\r\n")) or (
                    piece.raw.endswith(b"\n") and not _is_sse(content_type)
                )
            elif passes_through:
                # Only an error that was noticed here has no bytes of the upstream.
                for event in piece.events:
                    if isinstance(event, StreamError):
                        await self._fail(ApiFailure(event.error))
            else:
                await self._reply.write(b"".join(map(self._encoder.encode, piece.events)))
        if content.failed:
            # Broken off: the transfer must not end as if all had been said.
            return
        await self._reply.finish()

    # Failures.

    async def _fail(self, failure: ApiFailure) -> None:
        """Tell the client as well as still possible."""
        if self._reply.finished or self._failed:
            return
        if not self._reply.committed:
            spoken = error_answer(failure, self._codec.dialect, self._request_id)
            await self._reply.whole(spoken.status, spoken.body, spoken.content_type, spoken.headers)
        elif self._encoder is not None and self._at_frame_end:
            await self._reply.write(self._encoder.encode(StreamError(failure.error)))
            self._failed = True


def _is_sse(content_type: str) -> bool:
    return content_type.startswith("text/event-stream")


async def watch_client(scope: HTTPScope, cancel: trio.CancelScope) -> None:
    """Cancel when the client has gone."""
    extensions = cast("dict[str, object]", scope["extensions"])
    gone = extensions[CLIENT_GONE]
    assert isinstance(gone, trio.Event)
    await gone.wait()
    cancel.cancel()


def shutting_down() -> ApiFailure:
    return ApiFailure(
        ApiError(
            kind=ErrorKind.UNAVAILABLE,
            message="the gateway is shutting down",
            retry_after=1.0,
        )
    )
