"""A session: one request for an answer, from its head to its last byte.

A session is an actor in the task that the server made for the request. Everything it holds (its
place in a queue, a permit, an upstream call, bytes of memory) is held by that task, so that
cancelling it returns all of it: that is what happens when the client leaves.

What sessions of all kinds share is here: reading the body, whose job it is and until when, holding
the answer, and failing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from math import inf
from typing import cast

import trio
from hypercorn.typing import HTTPScope

from forebay.actors.config import Hold
from forebay.actors.gateway.gateway import Gateway
from forebay.actors.gateway.opening import SESSION_LAYER
from forebay.actors.jobs.calls import unspeakable
from forebay.actors.jobs.job import Client, Job
from forebay.actors.jobs.operations import ContentT, Inbound, Operation, QueryField
from forebay.actors.jobs.places import Outlook
from forebay.actors.jobs.priorities import priority_of_tier
from forebay.actors.routing.catalog import Resolution
from forebay.actors.scheduling.flows import TrafficClass
from forebay.endpoints.bodies import BodyReader, ClientGone, Receive
from forebay.endpoints.errors import error_answer, waiting_headers
from forebay.endpoints.heads import CLASS_HEADER, RequestHead
from forebay.endpoints.repeats import Repeats
from forebay.endpoints.replies import Reply
from forebay.endpoints.serving import CLIENT_GONE
from forebay.protocol.canonical.errors import ApiError, ApiFailure, bad_request
from forebay.protocol.canonical.needs import NO_NEEDS
from forebay.protocol.canonical.requests import Dialect
from forebay.protocol.dialects.registry import SPEECH
from forebay.protocol.jsontext import InvalidJson, JsonObject, loads_object
from forebay.protocol.request_bodies import json_with_model, read_body

JSON = "application/json"
STREAM_HEADERS: Mapping[str, str] = {"cache-control": "no-cache", "x-accel-buffering": "no"}
OWN_QUERY = frozenset({"max_wait_ms"})
"""Meant for the gateway, and for no provider."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionParts:
    """What every session is made of."""

    gateway: Gateway
    bodies: BodyReader
    head: RequestHead
    client: Client
    reply: Reply
    request_id: str
    repeats: Repeats


class Session(ABC):
    """Serves one request."""

    dialect: Dialect
    """The client's."""

    def __init__(self, parts: SessionParts) -> None:
        self._gateway = parts.gateway
        self._bodies = parts.bodies
        self._head = parts.head
        self._client = parts.client
        self._reply = parts.reply
        self._request_id = parts.request_id
        self._repeats = parts.repeats
        self._streams = False
        self._needs = NO_NEEDS
        """What the client asks of a model."""
        self._outlook = Outlook()
        self._arrived_at = trio.current_time()
        self._body_is_json = True
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

    @property
    def may_have_been_given_up(self) -> bool:
        """Whether a client may have stopped waiting for it and asked again: no official client
        does once a stream has begun."""
        return not (self._streams and self._reply.committed)

    def cut(self, reason: ApiFailure) -> None:
        """End the session now: its client is told ``reason``."""
        self._cut = reason
        self._scope.cancel()

    async def _serve(self, receive: Receive) -> None:
        # What is wrong with these is told before anything is waited for.
        head = self._head
        requested_wait, *_ = head.max_wait_ms, head.hold, head.on_unsupported, head.priority
        self._needs = head.needs
        self._client = self._in_its_class(self._client)
        self._place.note = "receiving"
        async with self._bodies.read(
            self._head,
            receive,
            holder=self._client.name,
            deadline=self._deadline(None, requested_wait),
            is_json=self._body_is_json,
        ) as body:
            with self._repeats.attempt(self, self._head, self._client.name, body):
                await self._respond(self._with_deployment(body))

    @abstractmethod
    async def _respond(self, body: bytes) -> None:
        """Answer the request that ``body`` makes.

        Raises:
            ApiFailure: there is no answer, or none any more.
        """

    # What the request asks, and for whom.

    def _with_deployment(self, body: bytes) -> bytes:
        """``body`` with the model that the path names, if it names one and there is a body that
        can be read: what is wrong with it is told where it is read."""
        model = self._head.deployment
        if model is None:
            return body
        if not self._body_is_json:
            return read_body(body, self._head.header("content-type")).with_model(model)
        try:
            return json_with_model(body, loads_object(body), model)
        except InvalidJson:
            return body

    def _fields(self, body: bytes) -> JsonObject:
        if not body:
            raise bad_request(SPEECH[self.dialect].no_body, code="invalid_json")
        try:
            return loads_object(body)
        except InvalidJson as fault:
            raise bad_request(
                f"the request body is not valid JSON: {fault}", code="invalid_json"
            ) from None

    async def _resolve(
        self, model: str, operation: Operation[ContentT] | None = None
    ) -> Resolution:
        """
        Args:
            operation: what is asked of the model. None: nothing that any of several could do.
        """
        self._place.note = f"waiting for {model}"
        return await self._gateway.catalog.resolve(
            model, self.dialect, self._client, operation, self._needs
        )

    def _inbound(self, body: bytes) -> Inbound:
        return Inbound(
            body=body,
            headers=self._head.headers,
            query=tuple(
                QueryField(name, value)
                for name, value in self._head.query_fields
                if name not in OWN_QUERY
            ),
        )

    def _job(
        self, operation: Operation[ContentT], resolution: Resolution, *, patience: float = inf
    ) -> Job[ContentT]:
        """
        Args:
            patience: seconds from now that the job may wait, if it may wait that long at all.
        """
        deadline = self._deadline(resolution, self._head.max_wait_ms)
        client = self._client.name
        return Job(
            operation=operation,
            client=self._client,
            arrived_at=self._arrived_at,
            deadline=min(deadline, trio.current_time() + patience),
            on_unsupported=self._gateway.settings.on_unsupported_for(
                model=resolution.name,
                client=client,
                requested=self._head.on_unsupported,
            ),
            priority=self._head.priority or priority_of_tier(operation.service_tier),
            needs=self._needs,
            conversation=operation.conversation(client) if resolution.is_sticky else None,
            outlook=self._outlook,
        )

    def _in_its_class(self, client: Client) -> Client:
        """``client`` as it asks for this request.

        Raises:
            ApiFailure: BAD_REQUEST, the class is above its own.
        """
        asked = self._head.traffic_class
        if asked is None or asked is client.traffic_class:
            return client
        if asked is TrafficClass.INTERACTIVE:
            raise bad_request(
                f"header {CLASS_HEADER}: the class of this key is {client.traffic_class}, and a "
                f"request can't be {asked}; leave the header out",
                param=CLASS_HEADER,
            )
        return replace(client, traffic_class=asked)

    def _deadline(self, resolution: Resolution | None, requested_ms: int | None) -> float:
        wait_ms = self._gateway.settings.max_wait_ms_for(
            model=None if resolution is None else resolution.name,
            client=self._client.name,
            requested_ms=requested_ms,
        )
        return self._arrived_at + wait_ms / 1000

    def _elapsed_ns(self) -> int:
        return round((trio.current_time() - self._arrived_at) * 1e9)

    # Holding.

    @asynccontextmanager
    async def _held(
        self, resolution: Resolution | None, stream_content_type: str | None = None
    ) -> AsyncIterator[None]:
        """Keep the client alive in the block, as it and the operator want it; a failure in there
        is told to it.

        Args:
            resolution: None where no model is asked.
            stream_content_type: of the answer if it is a stream.
        """
        self._streams = stream_content_type is not None
        begin = self._silence_before_commit(resolution, streams=stream_content_type is not None)
        async with trio.open_nursery() as nursery:
            if begin is not None:
                nursery.start_soon(self._keep_alive, begin, stream_content_type)
            try:
                yield
            except ApiFailure as failure:
                await self._fail(failure)
            nursery.cancel_scope.cancel()

    def _silence_before_commit(
        self, resolution: Resolution | None, *, streams: bool
    ) -> float | None:
        """Seconds after which a waiting answer commits; None: never."""
        settings = self._gateway.settings
        hold = settings.hold_for(
            model=None if resolution is None else resolution.name,
            client=self._client.name,
            requested=self._head.hold,
        )
        if hold is Hold.SILENT or (hold is Hold.AUTO and not streams):
            return None
        wait = settings.wait
        return (wait.keepalive_after_ms if streams else wait.json_keepalive_after_ms) / 1000

    async def _keep_alive(self, begin: float, stream_content_type: str | None) -> None:
        """Keep the client's timers from running out, whatever the silence is due to."""
        every = self._gateway.settings.wait.keepalive_every_ms / 1000
        await trio.sleep_until(self._arrived_at + begin)
        content_type = stream_content_type or SPEECH[self.dialect].json_content_type
        headers: Mapping[str, str] = {} if stream_content_type is None else STREAM_HEADERS
        if self._reply.committed:
            await trio.sleep_until(self._reply.last_write + every)
        while not self._reply.finished:
            due = self._reply.last_write + every
            if self._reply.committed and due > trio.current_time():
                await trio.sleep_until(due)
                continue
            if not self._reply.committed:
                waited = trio.current_time() - self._arrived_at
                headers = {**headers, **waiting_headers(waited, self._outlook.prospect())}
            await self._reply.keep_alive(self._keep_alive_frame, content_type, headers)
            await trio.sleep(every)

    def _keep_alive_frame(self) -> bytes | None:
        """What can be sent now that says nothing; None: nothing can."""
        return b"\n"

    # Failures.

    async def _fail(self, failure: ApiFailure) -> None:
        """Tell the client as well as still possible."""
        if self._reply.finished or self._failed:
            return
        if not self._reply.committed:
            spoken = error_answer(failure, self.dialect, self._request_id)
            await self._reply.whole(spoken.status, spoken.body, spoken.content_type, spoken.headers)
            return
        said = self._error_frame(failure.error)
        if said is not None:
            await self._reply.write(said)
            self._failed = True

    def _error_frame(self, error: ApiError) -> bytes | None:
        """The error inside a stream that has begun; None where it can't be said any more."""
        return None


async def watch_client(scope: HTTPScope, cancel: trio.CancelScope) -> None:
    """Cancel when the client has gone."""
    extensions = cast("dict[str, object]", scope["extensions"])
    gone = extensions[CLIENT_GONE]
    assert isinstance(gone, trio.Event)
    await gone.wait()
    cancel.cancel()
