"""One call to a granted target: from the permit to the first content of an answer.

Up to the first content a failure is no harm: the job can go back to its place. So an answer is
only handed out once it has begun to say something; errors that a provider sends inside a stream
with status 200, before any content, are failures like any other.
"""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from urllib.parse import quote, urlencode

import trio

from forebay.actors.gateway.answers import Piece, StreamedAnswer, WholeAnswer
from forebay.actors.gateway.failures import CallFailed, RelayedError, network_failure
from forebay.actors.gateway.jobs import Job
from forebay.actors.gateway.provider import Target
from forebay.actors.scheduling.grants import Grant
from forebay.actors.upstream import BodyTooLong, UpstreamAnswer, UpstreamFailure, open_call
from forebay.protocol.canonical.assembly import events_of
from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind, bad_request
from forebay.protocol.canonical.events import Finish, StreamError, StreamEvent, is_content
from forebay.protocol.dialects.base import ChatCodec
from forebay.protocol.dialects.registry import CODECS, SPEECH
from forebay.protocol.jsontext import InvalidJson, dumps, loads_object
from forebay.protocol.providers.base import CallFailure, FailedAnswer, FailureKind
from forebay.protocol.providers.classification import classify_stream_error
from forebay.protocol.splice import replace_model

LARGEST_ANSWER = 64 * 1024 * 1024
"""Bytes of a whole answer; a larger one is a fault of the upstream."""
_LARGEST_ERROR = 1024 * 1024
_LARGEST_READ_AHEAD = 1024 * 1024
"""Bytes of comments and empty events before any content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamRequest:
    """A request as it goes to a target."""

    target: Target
    codec: ChatCodec
    """Of the API that the target is asked in."""
    passes_through: bool
    """Same API on both sides: bytes go through unaltered."""
    path: str
    """Below the base URL, with the query."""
    body: bytes
    headers: dict[str, str]
    dropped: tuple[str, ...]


def prepare(job: Job, target: Target) -> UpstreamRequest:
    """Write the request for ``target``: the client's own bytes where the target speaks its API
    and can take them.

    Raises:
        ApiFailure: BAD_REQUEST, the target's dialect can't say what the request means.
    """
    profile = target.provider.profile
    headers = dict(target.provider.headers)
    own = job.codec if job.codec is not None and job.codec.api in profile.paths else None
    query = ""
    if own is not None:
        headers.update(
            (name, value)
            for name, value in job.forwarded_headers.items()
            if name in profile.forwarded_headers
        )
        if profile.forwards_query and job.forwarded_query:
            query = "?" + urlencode(job.forwarded_query, quote_via=quote)
    if own is not None and job.raw_body is not None and own.can_relay(job.request):
        return UpstreamRequest(
            target=target,
            codec=own,
            passes_through=True,
            path=profile.paths[own.api] + query,
            body=replace_model(job.raw_body, target.model_id),
            headers=headers,
            dropped=(),
        )
    codec = own or CODECS[next(iter(profile.paths))]
    encoded = codec.encode_request(replace(job.request, model=target.model_id), profile.traits)
    return UpstreamRequest(
        target=target,
        codec=codec,
        passes_through=False,
        path=profile.paths[codec.api] + query,
        body=dumps(encoded.body),
        headers={**encoded.headers, **headers},
        dropped=encoded.dropped,
    )


async def open_answer(
    job: Job, target: Target, grant: Grant, stack: AsyncExitStack
) -> StreamedAnswer | WholeAnswer:
    """Make the call; return as soon as the answer has content (a stream) or is whole.

    The connection belongs to ``stack``; the grant stays the caller's.

    Raises:
        CallFailed: the call failed before any content.
        ApiFailure: as :func:`prepare`; nothing was sent.
    """
    try:
        request = prepare(job, target)
    except (InvalidJson, RecursionError) as fault:
        raise unspeakable(fault) from None
    try:
        answer = await stack.enter_async_context(
            open_call(
                target.provider.transport,
                "POST",
                grant.route.host + request.path,
                headers=request.headers,
                body=request.body,
                timeouts=target.provider.timeouts,
            )
        )
        if answer.status >= 400:
            raise await _refused(request, answer)
        if job.request.stream and not _is_whole_json(request, answer):
            return await _begin_stream(request, answer)
        return await _read_whole(job, request, answer)
    except UpstreamFailure as failure:
        raise CallFailed(network_failure(failure, target)) from None


def unspeakable(fault: InvalidJson | RecursionError) -> ApiFailure:
    """JSON that can be read may be nested too deeply to be understood, or to be written again."""
    reason = str(fault) if isinstance(fault, InvalidJson) else "it is nested too deeply"
    return bad_request(f"the request can't be passed on: {reason}")


def _is_whole_json(request: UpstreamRequest, answer: UpstreamAnswer) -> bool:
    """Some servers answer whole although a stream was asked for."""
    content_type = answer.headers.get("content-type", "")
    return content_type.startswith("application/json") and not (
        request.codec.stream_content_type.startswith("application/json")
        or request.codec.stream_content_type.startswith("application/x-ndjson")
    )


async def _refused(request: UpstreamRequest, answer: UpstreamAnswer) -> CallFailed:
    provider = request.target.provider
    try:
        body = provider.without_secrets(await answer.read(_LARGEST_ERROR))
    except BodyTooLong:
        body = b""
    headers = {name.lower(): value for name, value in answer.headers.items()}
    speech = SPEECH[request.codec.dialect]
    failure = provider.profile.classify(
        FailedAnswer(
            status=answer.status,
            headers=headers,
            error=speech.decode_error(answer.status, body),
            now=time.time(),
        )
    )
    relayed = RelayedError(
        dialect=request.codec.dialect,
        status=answer.status,
        content_type=headers.get("content-type", "application/json"),
        body=body,
    )
    # A 500 for what is the request's own fault would make its client try again.
    as_it_came = answer.status < 500 and speech.is_own_error(body)
    return CallFailed(failure, relayed if as_it_came else None)


async def _begin_stream(request: UpstreamRequest, answer: UpstreamAnswer) -> StreamedAnswer:
    """Read ahead to the first content."""
    decoder = request.codec.stream_decoder()
    read_ahead: list[Piece] = []
    size = 0
    while True:
        chunk = await answer.next_chunk()
        size += len(chunk)
        if size > _LARGEST_READ_AHEAD:
            raise CallFailed(_server_failed("the upstream streams much and says nothing"))
        events = decoder.feed(chunk) if chunk else decoder.close()
        read_ahead.append(Piece(chunk, events))
        for event in events:
            if isinstance(event, StreamError):
                raise CallFailed(_said_in_answer(request, event))
            if is_content(event) or isinstance(event, Finish):
                return StreamedAnswer(request, answer, decoder, read_ahead, at_end=not chunk)
        await trio.lowlevel.checkpoint_if_cancelled()


async def _read_whole(
    job: Job, request: UpstreamRequest, answer: UpstreamAnswer
) -> WholeAnswer | StreamedAnswer:
    body = await answer.read(LARGEST_ANSWER)
    try:
        response = request.codec.decode_response(loads_object(body))
    except InvalidJson as fault:
        raise CallFailed(_server_failed(f"the upstream's answer is not JSON: {fault}")) from None
    except ApiFailure as failure:
        raise CallFailed(_said_in_answer(request, StreamError(failure.error))) from None
    if job.request.stream:
        events: list[StreamEvent] = list(events_of(response))
        request = replace(request, passes_through=False)
        return StreamedAnswer(
            request, answer, request.codec.stream_decoder(), [Piece(b"", events)], at_end=True
        )
    return WholeAnswer(request, body, response, answer.headers.get("content-type"))


def _said_in_answer(request: UpstreamRequest, event: StreamError) -> CallFailure:
    """An error that the upstream said with status 200, before any content."""
    said = event.error.message.encode("utf-8", "surrogatepass")
    message = request.target.provider.without_secrets(said).decode("utf-8", "surrogatepass")
    return classify_stream_error(replace(event, error=replace(event.error, message=message)))


def _server_failed(message: str) -> CallFailure:
    return CallFailure(
        kind=FailureKind.SERVER_FAILED,
        error=ApiError(kind=ErrorKind.UPSTREAM_ERROR, message=message),
    )
