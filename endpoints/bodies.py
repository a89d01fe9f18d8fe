"""Reading a request's body: bounded in size, in memory with all others, and in time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio
from hypercorn.typing import ASGIReceiveEvent

from forebay.actors.gateway.byte_budget import ByteBudget
from forebay.endpoints.heads import RequestHead
from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind

Receive = Callable[[], Awaitable[ASGIReceiveEvent]]


class ClientGone(Exception):
    """The client went away in the middle of its request."""


class BodyReader:
    """Reads bodies against one budget of bytes."""

    def __init__(self, budget: ByteBudget, *, largest: int, idle_seconds: float) -> None:
        self._budget = budget
        self._largest = largest
        self._idle_seconds = idle_seconds

    @asynccontextmanager
    async def read(
        self, head: RequestHead, receive: Receive, *, deadline: float
    ) -> AsyncIterator[bytes]:
        """The whole body; its bytes count against the budget until the block is left.

        A body that does not say its length counts as one of the largest size until it is read.

        Raises:
            ApiFailure: TOO_LARGE; RATE_LIMITED, no room for it until ``deadline`` (trio's clock);
                REQUEST_TIMEOUT, the client fell silent.
            ClientGone: the client left.
        """
        announced = head.content_length
        if announced is not None and announced > self._largest:
            raise self._too_large()
        amount = self._largest if announced is None else announced
        with trio.move_on_at(deadline) as scope:
            loan = await self._budget.borrow(amount)
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
            loan.shrink_to(len(body))
            yield body

    async def _receive_all(self, receive: Receive) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while True:
            with trio.move_on_after(self._idle_seconds) as scope:
                message = await receive()
            if scope.cancelled_caught:
                raise ApiFailure(
                    ApiError(
                        kind=ErrorKind.REQUEST_TIMEOUT,
                        message=(f"no more of the request came for {self._idle_seconds:g} seconds"),
                    )
                )
            if message["type"] != "http.request":
                raise ClientGone
            piece: bytes = message["body"]
            size += len(piece)
            if size > self._largest:
                raise self._too_large()
            pieces.append(piece)
            if not message["more_body"]:
                return b"".join(pieces)

    def _too_large(self) -> ApiFailure:
        return ApiFailure(
            ApiError(
                kind=ErrorKind.TOO_LARGE,
                message=f"the request is larger than {self._largest} bytes",
            )
        )
