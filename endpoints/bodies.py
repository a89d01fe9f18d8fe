"""Reading a request's body: bounded in size, in memory with all others, and in time."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import trio
from hypercorn.typing import ASGIReceiveEvent

from forebay.actors.config import ServerSettings
from forebay.actors.jobs.byte_budget import ByteBudget
from forebay.endpoints.heads import RequestHead
from forebay.endpoints.json_values import holds_more_values
from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind, bad_request

MOST_VALUES: Final = 500_000
"""Of one body. Parsing them takes some tenths of a second and some tens of megabytes; as tokens of
an embeddings request they are more than providers take."""

_COMPRESSIONS: Final = {
    "gzip": 16 + zlib.MAX_WBITS,
    "x-gzip": 16 + zlib.MAX_WBITS,
    "deflate": zlib.MAX_WBITS,
}
"""Content codings (RFC 9110, section 8.4.1), by zlib's window bits."""

Receive = Callable[[], Awaitable[ASGIReceiveEvent]]


class ClientGone(Exception):
    """The client went away in the middle of its request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyLimits:
    """What a body may cost. Its size is set aside while it arrives, so it must arrive in time."""

    largest: int
    """Bytes of one body."""
    idle_seconds: float
    """The longest silence."""
    grace_seconds: float
    """From here on the whole body so far must have come at:"""
    least_bytes_per_second: float

    @classmethod
    def of_server(cls, server: ServerSettings) -> BodyLimits:
        return cls(
            largest=server.max_body_bytes,
            idle_seconds=server.body_idle_ms / 1000,
            grace_seconds=server.body_grace_ms / 1000,
            least_bytes_per_second=server.body_min_bytes_per_second,
        )

    def seconds_for(self, size: int) -> float:
        """How long the first ``size`` bytes may take, and the silence after them."""
        return self.grace_seconds + size / self.least_bytes_per_second


class BodyReader:
    """Reads bodies against one budget of bytes."""

    def __init__(self, budget: ByteBudget, limits: BodyLimits) -> None:
        self._budget = budget
        self._limits = limits

    @asynccontextmanager
    async def read(
        self,
        head: RequestHead,
        receive: Receive,
        *,
        holder: str,
        deadline: float,
        is_json: bool = True,
    ) -> AsyncIterator[bytes]:
        """The whole body; its bytes count against the budget until the block is left.

        A body that does not say its length, or is compressed, counts as one of the largest size
        until it is read.

        Args:
            holder: whose bytes they are: who holds fewer comes first.
            is_json: it will be read as JSON, so its values must not be too many.

        Raises:
            ApiFailure: TOO_LARGE, in bytes or in JSON values; BAD_REQUEST, compressed in a way that
                can't be read; RATE_LIMITED, no room for it until
                ``deadline`` (trio's clock); REQUEST_TIMEOUT, the client fell silent or is too
                slow.
            ClientGone: the client left.
        """
        announced = head.content_length
        if announced is not None and announced > self._limits.largest:
            raise self._too_large()
        compression = _compression_of(head)
        unknown = announced is None or compression is not None
        amount = self._limits.largest if unknown or announced is None else announced
        with trio.move_on_at(deadline) as scope:
            loan = await self._budget.borrow(amount, holder=holder)
        if scope.cancelled_caught:
            raise ApiFailure(
                ApiError(
                    kind=ErrorKind.RATE_LIMITED,
                    message="the gateway holds as many waiting requests as it has memory for",
                    code="rate_limit_exceeded",
                    retry_after=1.0,
                )
            )
        with loan.held():
            body = await self._receive_all(receive)
            if compression is not None:
                body = self._decompressed(body, compression)
            loan.shrink_to(len(body))
            if is_json and holds_more_values(body, MOST_VALUES):
                raise _too_many_values()
            yield body

    async def _receive_all(self, receive: Receive) -> bytes:
        pieces: list[bytes] = []
        size = 0
        began = trio.current_time()
        while True:
            silent_at = trio.current_time() + self._limits.idle_seconds
            too_slow_at = began + self._limits.seconds_for(size)
            with trio.move_on_at(min(silent_at, too_slow_at)) as scope:
                message = await receive()
            if scope.cancelled_caught:
                raise self._too_late(silent=silent_at <= too_slow_at)
            if message["type"] != "http.request":
                raise ClientGone
            piece: bytes = message["body"]
            size += len(piece)
            if size > self._limits.largest:
                raise self._too_large()
            pieces.append(piece)
            if not message["more_body"]:
                return b"".join(pieces)

    def _decompressed(self, body: bytes, window_bits: int) -> bytes:
        decompressor = zlib.decompressobj(window_bits)
        try:
            plain = decompressor.decompress(body, self._limits.largest + 1)
        except zlib.error:
            raise bad_request("the request body is not what its content-encoding says") from None
        if len(plain) > self._limits.largest:
            raise self._too_large()
        if not decompressor.eof:
            raise bad_request("the compressed request body has no end")
        return plain

    def _too_late(self, *, silent: bool) -> ApiFailure:
        limits = self._limits
        message = (
            f"no more of the request came for {limits.idle_seconds:g} seconds"
            if silent
            else f"the request came too slowly: after {limits.grace_seconds:g} seconds it must"
            f" have come at {limits.least_bytes_per_second:g} bytes per second on average"
        )
        return ApiFailure(ApiError(kind=ErrorKind.REQUEST_TIMEOUT, message=message))

    def _too_large(self) -> ApiFailure:
        return ApiFailure(
            ApiError(
                kind=ErrorKind.TOO_LARGE,
                message=f"the request is larger than {self._limits.largest} bytes",
            )
        )


def _compression_of(head: RequestHead) -> int | None:
    """How the body is compressed, as zlib names it; None: not at all.

    Raises:
        ApiFailure: BAD_REQUEST, in a way that can't be read here.
    """
    name = (head.header("content-encoding") or "identity").strip().lower()
    if name == "identity":
        return None
    if name not in _COMPRESSIONS:
        raise bad_request(
            f"content-encoding '{name[:40]}' can't be read here: send the body plain, or as gzip",
            param="content-encoding",
        )
    return _COMPRESSIONS[name]


def _too_many_values() -> ApiFailure:
    return ApiFailure(
        ApiError(
            kind=ErrorKind.TOO_LARGE,
            message=f"the request holds more than {MOST_VALUES} JSON values",
        )
    )
