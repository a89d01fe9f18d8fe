"""A session that asks how many tokens a prompt has."""

from __future__ import annotations

from typing import Final

import trio

from forebay.actors.gateway.catalog import Resolution
from forebay.actors.gateway.failures import JobFailure
from forebay.actors.gateway.gateway import Answer
from forebay.actors.gateway.sizes import measure
from forebay.actors.gateway.token_count_operation import TokenCount, TokenCountOperation
from forebay.endpoints.errors import answer_headers
from forebay.endpoints.session import Session, SessionParts
from forebay.protocol.canonical.errors import ErrorKind
from forebay.protocol.canonical.requests import ChatRequest
from forebay.protocol.dialects.token_counts import TokenCountCodec

_PATIENCE: Final = 5.0
"""Seconds for the count itself. Agents ask before every step: an estimate now is worth more than a
count later, so nothing is waited for that is not free at once."""
_REQUEST_AT_FAULT: Final = frozenset({ErrorKind.BAD_REQUEST, ErrorKind.TOO_LARGE})


class TokenCountSession(Session):
    """Counts the tokens of one prompt: asks a target that can, else estimates."""

    def __init__(self, parts: SessionParts, codec: TokenCountCodec) -> None:
        super().__init__(parts)
        self.dialect = codec.dialect
        self._codec = codec

    async def _respond(self, body: bytes) -> None:
        await self._respond_to(self._codec.decode_request(self._fields(body)), body)

    async def _respond_to(self, request: ChatRequest, body: bytes) -> None:
        resolution = await self._resolve(request.model)
        operation = TokenCountOperation(request, self._codec, self._inbound(body))
        answer = None
        if all(map(operation.served_by, resolution.targets)):
            answer = await self._count(operation, resolution)
        if answer is None:
            await self._estimate(request, resolution)
            return
        counted = self._codec.encode_count(answer.content.input_tokens)
        await self._reply.json(200, counted, answer_headers(answer.history))

    async def _count(
        self, operation: TokenCountOperation, resolution: Resolution
    ) -> Answer[TokenCount] | None:
        """The count of a target that has room now; None: there is none to be had."""
        job = self._job(operation, resolution, patience=0)
        with trio.move_on_after(_PATIENCE):
            try:
                async with self._gateway.open_answer(job, resolution) as answer:
                    return answer
            except JobFailure as failure:
                if failure.error.kind in _REQUEST_AT_FAULT:
                    raise
        return None

    async def _estimate(self, request: ChatRequest, resolution: Resolution) -> None:
        estimator = resolution.targets[0].estimator
        tokens = max(1, round(estimator.estimate(measure(request), 0)))
        headers = {"x-forebay-estimated": "true"}
        await self._reply.json(200, self._codec.encode_count(tokens), headers)
