"""The ASGI application: the door, then a session or one of Quart's routes.

What asks for an answer of a model is served without Quart between it and the socket: a session must
be able to hold an answer, commit it late and break it off, and Quart can do none of these. All else
is Quart's.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable
from quart import Response
from quart_trio import QuartTrio
from quart_trio.asgi import TrioASGIHTTPConnection, TrioASGIWebsocketConnection
from werkzeug.exceptions import HTTPException

from forebay.actors.config import Settings
from forebay.actors.gateway.gateway import Gateway
from forebay.actors.jobs.failures import shutting_down
from forebay.actors.jobs.job import ANONYMOUS, Client
from forebay.endpoints.azure_paths import as_plain
from forebay.endpoints.bodies import BodyLimits, BodyReader, Receive
from forebay.endpoints.door import Door
from forebay.endpoints.errors import MethodNotAllowed, error_answer, internal_error
from forebay.endpoints.heads import RequestHead
from forebay.endpoints.model_pages import pages as model_pages
from forebay.endpoints.operations import pages as operation_pages
from forebay.endpoints.own_headers import own_headers
from forebay.endpoints.repeats import Repeats
from forebay.endpoints.replies import Reply, raw_headers
from forebay.endpoints.routes import OPENAI_PATHS, SESSIONS, dialect_of, route_of
from forebay.endpoints.serving import ClientDisconnected
from forebay.endpoints.session import Session, SessionParts, watch_client
from forebay.endpoints.visits import VISIT, Visit, visit
from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind
from forebay.protocol.dialects.openai import OPENAI
from forebay.protocol.dialects.registry import SPEECH

_log = logging.getLogger("forebay.app")

_OPEN_PATHS = frozenset({"/healthz", "/readyz"})
"""For probes, which have no key; they say nothing but yes or no."""
_LARGEST_PAGE_REQUEST = 64 * 1024
"""Nothing counts these bodies: together they must not come to much."""


@dataclass(frozen=True, slots=True)
class Services:
    """What every request needs."""

    gateway: Gateway
    door: Door
    bodies: BodyReader
    repeats: Repeats


class _Connection(TrioASGIHTTPConnection):
    """One request."""

    @property
    def _forebay(self) -> ForebayApp:
        assert isinstance(self.app, ForebayApp)
        return self.app

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        head = as_plain(RequestHead.of_scope(self.scope), OPENAI_PATHS)
        request_id = _new_request_id()
        dialect = dialect_of(head)
        reply = Reply(
            send, partial(own_headers, dialect, request_id), SPEECH[dialect].json_content_type
        )
        try:
            await self._serve(head, request_id, reply, receive, send)
        except* ClientDisconnected:
            raise
        except* Exception as faults:
            _log.error("request %s failed", request_id, exc_info=faults)
            if not reply.committed:
                await _reply_error(reply, internal_error(), head, request_id)

    async def _serve(
        self,
        head: RequestHead,
        request_id: str,
        reply: Reply,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
    ) -> None:
        try:
            client = self._admit(head)
            route = route_of(head.path)
            if route is None:
                self.scope["path"] = head.path
                cast("dict[str, object]", self.scope)[VISIT] = Visit(head, client, request_id)
                await super().__call__(receive, send)
                return
            if head.method not in route.methods:
                raise MethodNotAllowed(head.method, head.path, route.methods)
            services = self._forebay.services
            session = route.begin(
                SessionParts(
                    gateway=services.gateway,
                    bodies=services.bodies,
                    head=head,
                    client=client or ANONYMOUS,
                    reply=reply,
                    request_id=request_id,
                    repeats=services.repeats,
                )
            )
            await self._run(session, receive)
        except ApiFailure as failure:
            await _reply_error(reply, failure, head, request_id)

    def _admit(self, head: RequestHead) -> Client | None:
        return None if head.path in _OPEN_PATHS else self._forebay.services.door.admit(head)

    async def _run(self, session: Session, receive: Receive) -> None:
        self._forebay.session_began(session)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch_client, self.scope, nursery.cancel_scope)
                await session.run(receive)
                nursery.cancel_scope.cancel()
        finally:
            self._forebay.session_ended(session)


class _RefusedWebSocket(TrioASGIWebsocketConnection):
    """No API is served over WebSocket. That is said in plain HTTP before the upgrade, so that
    clients fall back to HTTP, and to nobody who would not be let in."""

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        assert isinstance(self.app, ForebayApp)
        head = RequestHead.of_scope(self.scope)
        request_id = _new_request_id()
        try:
            self.app.services.door.admit(head)
            failure = _no_such_path(head)
        except ApiFailure as refusal:
            failure = refusal
        spoken = error_answer(failure, dialect_of(head), request_id)
        fields = {
            **own_headers(dialect_of(head), request_id, 0),
            "content-type": spoken.content_type,
            "content-length": str(len(spoken.body)),
            **spoken.headers,
        }
        await send(
            {
                "type": "websocket.http.response.start",
                "status": spoken.status,
                "headers": raw_headers(fields),
            }
        )
        await send(
            {"type": "websocket.http.response.body", "body": spoken.body, "more_body": False}
        )


class ForebayApp(QuartTrio):
    """The gateway's API over HTTP."""

    asgi_http_class: type[TrioASGIHTTPConnection] = _Connection
    asgi_websocket_class: type[TrioASGIWebsocketConnection] = _RefusedWebSocket

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(__name__, static_folder=None)
        self.services = Services(
            gateway,
            Door(gateway.settings),
            BodyReader(gateway.waiting_bytes, BodyLimits.of_server(gateway.settings.server)),
            Repeats(),
        )
        gateway.when_changed(self._take_on)
        self.sessions: set[Session] = set()
        self._no_sessions = trio.Event()
        self.config["MAX_CONTENT_LENGTH"] = _LARGEST_PAGE_REQUEST
        self.config["RESPONSE_TIMEOUT"] = None
        # Quart's own answers to these would be in no dialect.
        self.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
        self.url_map.merge_slashes = False
        self.url_map.strict_slashes = False
        self.register_blueprint(model_pages(gateway))
        self.register_blueprint(operation_pages(gateway))
        self.register_error_handler(ApiFailure, _speak)
        self.register_error_handler(HTTPException, _speak_http)
        self.register_error_handler(Exception, _speak_fault)

    def _take_on(self, settings: Settings) -> None:
        """For requests that come from now on; who is in stays in."""
        budget = self.services.gateway.waiting_bytes
        self.services = replace(
            self.services,
            door=Door(settings),
            bodies=BodyReader(budget, BodyLimits.of_server(settings.server)),
        )

    def session_began(self, session: Session) -> None:
        self.sessions.add(session)

    def session_ended(self, session: Session) -> None:
        self.sessions.discard(session)
        if not self.sessions:
            self._no_sessions.set()

    async def sessions_ended(self) -> None:
        """Wait until no session is left. Meant for a drain, when none is added."""
        while self.sessions:
            self._no_sessions = trio.Event()
            await self._no_sessions.wait()

    def cut_sessions(self) -> None:
        """End all sessions now; each client is told in its dialect."""
        for session in list(self.sessions):
            session.cut(shutting_down())


async def _reply_error(
    reply: Reply, failure: ApiFailure, head: RequestHead, request_id: str
) -> None:
    spoken = error_answer(failure, dialect_of(head), request_id)
    await reply.whole(spoken.status, spoken.body, spoken.content_type, spoken.headers)


async def _speak(failure: ApiFailure) -> Response:
    here = visit()
    spoken = error_answer(failure, dialect_of(here.head), here.request_id)
    return here.response(spoken.body, spoken.status, spoken.content_type, spoken.headers)


async def _speak_http(fault: HTTPException) -> Response:
    """What Quart itself refuses, in the client's dialect."""
    head = visit().head
    match fault.code:
        case 405:
            allowed = getattr(fault, "valid_methods", None) or ()
            return await _speak(MethodNotAllowed(head.method, head.path, allowed))
        case 404:
            return await _speak(_no_such_path(head))
        case 413:
            kind, message = ErrorKind.TOO_LARGE, "the request is too large"
        case 408:
            kind, message = ErrorKind.REQUEST_TIMEOUT, "the request did not come to its end"
        case code if code is not None and code < 500:
            kind, message = ErrorKind.BAD_REQUEST, fault.description or "bad request"
        case _:
            return await _speak(internal_error())
    return await _speak(ApiFailure(ApiError(kind=kind, message=message)))


def _no_such_path(head: RequestHead) -> ApiFailure:
    message = f"no such path: {head.method} {head.path}"
    if head.path.startswith(("/v1/v1/", "/api/v1/", "/v1/api/")):
        # Clients of OpenAI's API add to a base URL with a version, all others to the root.
        known = dialect_of(replace(head, path=head.path[head.path.index("/", 1) :]))
        right = "/v1" if known == OPENAI else ":PORT"
        message += f"; set the client's base URL to end in '{right}'"
    else:
        if f"/v1{head.path}" in SESSIONS or head.path == "/models":
            message += "; set the client's base URL to end in '/v1'"
        elif (head.header("upgrade") or "").lower() == "websocket":
            message += " over WebSocket; use plain HTTP"
    return ApiFailure(ApiError(kind=ErrorKind.PATH_NOT_FOUND, message=message))


def _new_request_id() -> str:
    return "req_" + secrets.token_hex(12)


async def _speak_fault(fault: Exception) -> Response:
    _log.error("request %s failed", visit().request_id, exc_info=fault)
    return await _speak(internal_error())
