"""One call to a granted target: from the permit to the first content of an answer.

Up to the first content a failure is no harm: the job can go back to its place. So an answer is
only handed out once it has begun to say something; errors that a provider sends inside a stream
with status 200, before any content, are failures like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace

from forebay.actors.jobs.failures import CallFailed, RelayedError, network_failure
from forebay.actors.jobs.operations import ContentT, Operation, UpstreamRequest, Wording
from forebay.actors.providers.provider import Target
from forebay.actors.scheduling.grants import Grant
from forebay.actors.upstream import BodyTooLong, UpstreamAnswer, UpstreamFailure, open_call
from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind, bad_request
from forebay.protocol.canonical.events import StreamError
from forebay.protocol.dialects.registry import SPEECH
from forebay.protocol.jsontext import InvalidJson, JsonObject, loads_object
from forebay.protocol.providers.base import CallFailure, FailedAnswer, FailureKind
from forebay.protocol.providers.classification import classify_stream_error
from forebay.protocol.providers.limits.told_in_body import with_told_headers

LARGEST_ANSWER = 64 * 1024 * 1024
"""Bytes of a whole answer; a larger one is a fault of the upstream."""
_LARGEST_ERROR = 1024 * 1024


async def open_answer(
    operation: Operation[ContentT],
    target: Target,
    wording: Wording,
    grant: Grant,
    stack: AsyncExitStack,
) -> ContentT:
    """Make the call; return as soon as the answer has content (a stream) or is whole.

    The connection belongs to ``stack``; the grant stays the caller's.

    Raises:
        CallFailed: the call failed before any content.
        ApiFailure: as :meth:`Operation.prepare`; nothing was sent.
    """
    try:
        call = operation.prepare(target, wording)
    except (InvalidJson, RecursionError) as fault:
        raise unspeakable(fault) from None
    request = call.request
    try:
        answer = await stack.enter_async_context(
            open_call(
                target.provider.transport,
                "POST",
                request.url(grant.route.host),
                headers=request.headers,
                body=request.body,
                timeouts=target.provider.timeouts,
            )
        )
        headers = {name.lower(): value for name, value in answer.headers.items()}
        if answer.status >= 400:
            raise await refused(request, answer, headers, grant)
        target.provider.hear(answer.status, headers, grant, request.body)
        return await call.read(answer)
    except UpstreamFailure as failure:
        raise CallFailed(network_failure(failure, target)) from None


def unspeakable(fault: InvalidJson | RecursionError) -> ApiFailure:
    """JSON that can be read may be nested too deeply to be understood, or to be written again."""
    reason = str(fault) if isinstance(fault, InvalidJson) else "it is nested too deeply"
    return bad_request(f"the request can't be passed on: {reason}")


async def refused(
    request: UpstreamRequest,
    answer: UpstreamAnswer,
    headers: Mapping[str, str],
    grant: Grant | None = None,
) -> CallFailed:
    """What an answer with an error status means.

    Args:
        headers: of the answer; names in lower case.
        grant: of the call, where it counts against the limits that the answer may tell of.

    Raises:
        UpstreamFailure: it broke off.
    """
    provider = request.target.provider
    try:
        body = provider.without_secrets(await answer.read(_LARGEST_ERROR))
    except BodyTooLong:
        body = b""
    if grant is not None:
        provider.hear(answer.status, with_told_headers(headers, body), grant)
    speech = SPEECH[request.dialect]
    error = speech.decode_error(answer.status, body)
    failure = provider.profile.classify(
        FailedAnswer(
            status=answer.status,
            headers=headers,
            error=error,
            now=provider.wall_clock(),
            body=body,
        )
    )
    relayed = RelayedError(
        dialect=request.dialect,
        status=answer.status,
        content_type=headers.get("content-type", "application/json"),
        body=body,
    )
    # A 500 for what is the request's own fault would make its client try again.
    as_it_came = answer.status < 500 and failure.error is error and speech.is_own_error(body)
    return CallFailed(failure, relayed if as_it_came else None)


def read_json(body: bytes) -> JsonObject:
    """A whole answer.

    Raises:
        CallFailed: it is no JSON object.
    """
    try:
        return loads_object(body)
    except InvalidJson as fault:
        raise CallFailed(server_failed(f"the upstream's answer is not JSON: {fault}")) from None


def said_in_answer(target: Target, event: StreamError) -> CallFailure:
    """An error that the upstream said in an answer with status 200."""
    said = event.error.message.encode("utf-8", "surrogatepass")
    message = target.provider.without_secrets(said).decode("utf-8", "surrogatepass")
    return classify_stream_error(replace(event, error=replace(event.error, message=message)))


def server_failed(message: str) -> CallFailure:
    """The upstream broke."""
    return CallFailure(
        kind=FailureKind.SERVER_FAILED,
        error=ApiError(kind=ErrorKind.UPSTREAM_ERROR, message=message),
    )
