"""A session that asks how many tokens a prompt has."""

from __future__ import annotations

from typing import Final

from forebay.actors.gateway.catalog import Resolution
from forebay.actors.gateway.failures import JobFailure
from forebay.actors.gateway.sizes import measure
from forebay.actors.gateway.token_count_operation import TokenCountOperation
from forebay.endpoints.errors import answer_headers
from forebay.endpoints.session import Session, SessionParts
from forebay.protocol.canonical.errors import ErrorKind
from forebay.protocol.canonical.requests import ChatRequest
from forebay.protocol.dialects.token_counts import TokenCountCodec

_PATIENCE: Final = 2.0
"""Seconds. Agents ask before every step; an estimate now is worth more than a count later."""
_REQUEST_AT_FAULT: Final = frozenset({ErrorKind.BAD_REQUEST, ErrorKind.TOO_LARGE})


class TokenCountSession(Session):
    """Counts the tokens of one prompt: asks a target that can, else estimates."""

    def __init__(self, parts: SessionParts, codec: TokenCountCodec) -> None:
        super().__init__(parts)
        self.dialect = codec.dialect
        self._codec = codec

    async def _respond(self, body: bytes) -> None:
        request = self._codec.decode_request(self._fields(body))
        resolution = await self._resolve(request.model)
        operation = TokenCountOperation(request, self._codec, self._inbound(body))
        if all(map(operation.served_by, resolution.targets)):
            try:
                await self._count(operation, resolution)
            except JobFailure as failure:
                if failure.error.kind in _REQUEST_AT_FAULT:
                    raise
            else:
                return
        await self._estimate(request, resolution)

    async def _count(self, operation: TokenCountOperation, resolution: Resolution) -> None:
        job = self._job(operation, resolution, patience=_PATIENCE)
        async with self._gateway.open_answer(job, resolution) as answer:
            counted = self._codec.encode_count(answer.content.input_tokens)
            await self._reply.json(200, counted, answer_headers(answer.history))

    async def _estimate(self, request: ChatRequest, resolution: Resolution) -> None:
        estimator = resolution.targets[0].estimator
        tokens = max(1, round(estimator.estimate(measure(request), 0)))
        headers = {"x-forebay-estimated": "true"}
        await self._reply.json(200, self._codec.encode_count(tokens), headers)
