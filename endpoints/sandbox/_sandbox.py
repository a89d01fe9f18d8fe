"""The sandbox itself: takes a request, decides, and says what to answer.

Everything here is synchronous. Time is ``trio.current_time()``; the wall clock is read once, to
know which date the headers and bodies should carry at that time.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate

import trio

from forebay.endpoints.sandbox._call import Call, Identity, usage_of
from forebay.endpoints.sandbox._composer import compose_all
from forebay.endpoints.sandbox._counters import Counters, Load, RunningCall, SandboxStatistics
from forebay.endpoints.sandbox._dialect import Dialect, Models, read_object
from forebay.endpoints.sandbox._failures import Failure, FailureKind, Refused
from forebay.endpoints.sandbox._fault_play import break_reply, refusal_failure
from forebay.endpoints.sandbox._faults import NO_FAULT, FaultDesk, FaultPlan, UnknownFault
from forebay.endpoints.sandbox._fields import FieldFault
from forebay.endpoints.sandbox._http import Header, Reply, Request
from forebay.endpoints.sandbox._limit_headers import limit_headers, retry_after_headers
from forebay.endpoints.sandbox._limits import Limiter, LimitScope
from forebay.endpoints.sandbox._ollama import LoadedOnly, missing_body
from forebay.endpoints.sandbox._ollama_errors import OllamaErrors
from forebay.endpoints.sandbox._options import LimitHeaders, SandboxOptions
from forebay.endpoints.sandbox._pages import CALLS, RESPONSES, dialect_of, page, response_calls
from forebay.endpoints.sandbox._responses_kept import KeptResponses
from forebay.endpoints.sandbox._responses_pages import is_about_a_response, response_page
from forebay.protocol.jsontext import InvalidJson, JsonObject, dumps, loads_object

_JSON = b"application/json"


class Sandbox:
    """A pretended model provider. One object may serve any number of connections.

    Args:
        options: how it behaves; may be changed while it runs.
        epoch: the wall-clock time, in seconds, of the first request; None reads the clock then.
    """

    def __init__(
        self, options: SandboxOptions | None = None, *, epoch: float | None = None
    ) -> None:
        self._options = SandboxOptions() if options is None else options
        self._models: Models = {model.name: model for model in self._options.models}
        self._epoch = epoch
        self._wall_offset: float | None = None
        self._counters = Counters()
        self._load = Load()
        self._desk = FaultDesk()
        self._limiter: Limiter | None = None
        self._responses = KeptResponses(lambda: self._options)
        self._calls = {**CALLS, **response_calls(self._responses)}
        self._number = 0
        self._date: tuple[int, bytes] = (0, b"")
        self.requests: deque[Request] = deque(maxlen=self._options.keep_requests)
        """The latest requests, as many as ``keep_requests`` says."""

    @property
    def options(self) -> SandboxOptions:
        return self._options

    def change_options(self, options: SandboxOptions) -> None:
        """Behave differently from now on; what limits have left is kept as far as it fits."""
        self._options = options
        self._models = {model.name: model for model in options.models}
        if self._limiter is not None:
            self._limiter.change(options, now=trio.current_time())
        if self.requests.maxlen != options.keep_requests:
            self.requests = deque(self.requests, maxlen=options.keep_requests)

    def reset(self) -> None:
        """Forget all counts, fill all buckets; options and running calls stay."""
        self._counters = Counters(max_in_flight=self._load.in_flight)
        self._desk = FaultDesk()
        self._limiter = None
        self.requests.clear()

    def statistics(self) -> SandboxStatistics:
        return self._counters.statistics(now=trio.current_time(), load=self._load)

    @contextmanager
    def connection(self) -> Iterator[None]:
        """Counts a connection as open."""
        self._load.open_connections += 1
        try:
            yield
        finally:
            self._load.open_connections -= 1

    def respond(self, request: Request) -> Reply:
        """What to answer. A call that starts holds its slot until its lease is finished."""
        self.requests.append(request)
        now = trio.current_time()
        self._number += 1
        identity = Identity(self._number, self._wall(now))
        if request.path.startswith("/sandbox/"):
            return self._control(request, identity)
        dialect = self._calls.get(request.path) or dialect_of(request)
        if request.method == "POST" and request.path in self._calls:
            return self._call(dialect, request, identity, now)
        try:
            self._check(request)
            if request.path not in self._calls and is_about_a_response(request.path):
                return self._response_page(request, identity)
            body = page(request, self._models, identity)
        except Refused as refused:
            return self._refusal(dialect, refused.failure, identity, now)
        except FieldFault as fault:
            return self._refusal(dialect, dialect.field_failure(fault), identity, now)
        if isinstance(body, bytes):
            headers = self._headers(b"text/plain; charset=utf-8", dialect, identity)
            return Reply(200, headers, body)
        return Reply(200, self._headers(dialect.json_type, dialect, identity), dialect.json(body))

    def crashed(self, request: Request) -> Reply:
        """What to answer when :meth:`respond` has failed by a fault of the sandbox itself."""
        now = trio.current_time()
        identity = Identity(self._number, self._wall(now))
        failure = Failure(FailureKind.SERVER_ERROR, "the sandbox failed; see its log")
        return self._refusal(dialect_of(request), failure, identity, now)

    def _response_page(self, request: Request, identity: Identity) -> Reply:
        shown = response_page(request, self._responses, identity)
        dialect = self._calls[RESPONSES]
        if not isinstance(shown, list):
            return Reply(
                200, self._headers(dialect.json_type, dialect, identity), dialect.json(shown)
            )
        headers = self._headers(dialect.stream_type, dialect, identity)
        return Reply(200, [*headers, (b"cache-control", b"no-cache")], pieces=shown)

    def _call(self, dialect: Dialect, request: Request, identity: Identity, now: float) -> Reply:
        plan = NO_FAULT
        try:
            self._check(request)
            if not request.body and isinstance(dialect, OllamaErrors):
                raise missing_body()
            call = dialect.read_call(read_object(request), request, self._models)
            plan = self._plan(call, request)
            if plan.refusal is not None:
                self._counters.faults[plan.refusal.value] += 1
                raise Refused(refusal_failure(plan.refusal, plan.retry_after))
            return self._start(dialect, call, plan, identity, now)
        except LoadedOnly as loaded:
            body = dialect.json(loaded.body(identity)) + b"\n"
            return Reply(200, self._headers(dialect.json_type, dialect, identity), body)
        except Refused as refused:
            failure = refused.failure
        except FieldFault as fault:
            failure = dialect.field_failure(fault)
        reply = self._refusal(dialect, failure, identity, now)
        self._counters.refused[reply.status] += 1
        reply.delay = plan.slow_head
        return reply

    def _plan(self, call: Call, request: Request) -> FaultPlan:
        try:
            return self._desk.plan(
                user_text=call.user_text,
                header=request.headers.get("x-sandbox-fault", ""),
                fault_every=self._options.fault_every,
            )
        except UnknownFault as fault:
            raise Refused(Failure(FailureKind.BAD_VALUE, str(fault))) from None

    def _start(
        self, dialect: Dialect, call: Call, plan: FaultPlan, identity: Identity, now: float
    ) -> Reply:
        options = self._options
        answers = compose_all(call, options)
        output_tokens, _ = usage_of(answers)
        self._admit(call.input_tokens + output_tokens, now)
        kind = dialect.stream_type if call.stream else dialect.json_type
        headers = self._headers(kind, dialect, identity)
        headers += self._limit_headers(identity, now, refused=False)
        delay = plan.slow_head if call.in_background else options.latency_ms / 1000 + plan.slow_head
        reply = Reply(200, headers, delay=delay, interval=0.0)
        if call.stream:
            headers.append((b"cache-control", b"no-cache"))
            reply.pieces = dialect.pieces(call, answers, identity)
            reply.interval = options.token_interval_ms / 1000
        else:
            reply.body = dialect.json(dialect.whole(call, answers, identity))
        if plan.breaks is not None:
            self._counters.faults[plan.breaks.value] += 1
            break_reply(plan, reply, dialect, identity)
        reply.lease = RunningCall(
            counters=self._counters,
            load=self._load,
            model_name=call.model.name,
            input_tokens=call.input_tokens,
            output_tokens=output_tokens,
            now=now,
        )
        return reply

    def _admit(self, tokens: int, now: float) -> None:
        limiter = self._limits(now)
        refusal = limiter.admit(tokens=tokens, in_flight=self._load.in_flight, now=now)
        if refusal is None:
            return
        kind = FailureKind.RATE_LIMITED
        if refusal.scope is LimitScope.CONCURRENCY and self._options.refusal_status == 503:
            kind = FailureKind.UNAVAILABLE
        tells = self._options.limit_headers not in (LimitHeaders.NONE, LimitHeaders.TOGETHER)
        raise Refused(
            Failure(
                kind,
                scope=refusal.scope,
                retry_after=refusal.retry_after if tells else None,
                shows_limits=True,
            )
        )

    def _limits(self, now: float) -> Limiter:
        if self._limiter is None:
            self._limiter = Limiter(self._options, now=now)
        return self._limiter

    def _check(self, request: Request) -> None:
        """What every request must have, whatever it wants."""
        if len(request.body) > self._options.max_body_bytes:
            raise Refused(Failure(FailureKind.TOO_LARGE))
        wanted = self._options.api_key
        if wanted is None:
            return
        scheme, _, credential = request.headers.get("authorization", "").partition(" ")
        bearer = credential.strip() if scheme.lower() == "bearer" else None
        if wanted not in (bearer, request.headers.get("x-api-key")):
            raise Refused(Failure(FailureKind.UNAUTHORIZED))

    def _refusal(self, dialect: Dialect, failure: Failure, identity: Identity, now: float) -> Reply:
        status, body = dialect.failure(failure, identity)
        headers = self._headers(dialect.json_type, dialect, identity)
        if failure.retry_after is not None:
            headers += retry_after_headers(self._options.limit_headers, failure.retry_after)
        if failure.shows_limits:
            headers += self._limit_headers(identity, now, refused=True)
        return Reply(status, headers, dialect.json(body))

    def _limit_headers(self, identity: Identity, now: float, *, refused: bool) -> list[Header]:
        kind = self._options.limit_headers
        if kind is LimitHeaders.NONE:
            return []
        return limit_headers(kind, self._limits(now).view(now), wall=identity.wall, refused=refused)

    def _headers(self, content_type: bytes, dialect: Dialect, identity: Identity) -> list[Header]:
        return [
            (b"content-type", content_type),
            (b"date", self._date_header(identity.wall)),
            *dialect.headers(identity),
        ]

    def _date_header(self, wall: float) -> bytes:
        second = int(wall)
        if self._date[0] != second:
            self._date = (second, formatdate(second, usegmt=True).encode())
        return self._date[1]

    def _wall(self, now: float) -> float:
        if self._wall_offset is None:
            self._wall_offset = (time.time() if self._epoch is None else self._epoch) - now
        return self._wall_offset + now

    def _control(self, request: Request, identity: Identity) -> Reply:
        """The sandbox's own pages; they ask for no key."""
        status, body = 200, self._control_body(request)
        if "error" in body:
            status = 400 if request.path == "/sandbox/options" else 404
        headers = [
            (b"content-type", _JSON),
            (b"date", self._date_header(identity.wall)),
        ]
        return Reply(status, headers, dumps(body))

    def _control_body(self, request: Request) -> JsonObject:
        match request.method, request.path:
            case "GET", "/sandbox/stats":
                return self.statistics().as_json()
            case "POST", "/sandbox/reset":
                self.reset()
                return {"reset": True}
            case "GET", "/sandbox/options":
                return self._options.as_json()
            case "POST", "/sandbox/options":
                try:
                    self.change_options(self._options.changed(loads_object(request.body)))
                except (InvalidJson, ValueError) as fault:
                    return {"error": str(fault)}
                return self._options.as_json()
            case _:
                return {
                    "error": "there is GET /sandbox/stats, POST /sandbox/reset, and GET and POST "
                    "/sandbox/options"
                }
