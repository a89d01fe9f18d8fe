"""A session that asks how many tokens a prompt has."""

from __future__ import annotations

from typing import Final

from forebay.actors.gateway.token_counting import is_known_to_lack
from forebay.actors.jobs.failures import JobHistory
from forebay.actors.jobs.token_count_operation import TokenCount, TokenCountOperation
from forebay.actors.providers.provider import Target
from forebay.actors.providers.sizes import measure
from forebay.actors.routing.catalog import Resolution
from forebay.endpoints.errors import answer_headers
from forebay.endpoints.session import Session, SessionParts
from forebay.protocol.canonical.errors import ApiFailure, ErrorKind, model_not_found
from forebay.protocol.canonical.requests import ChatRequest
from forebay.protocol.dialects.token_counts import TokenCountCodec

_PATIENCE: Final = 5.0
"""Seconds for what a count needs before it is asked for."""
_REQUEST_AT_FAULT: Final = frozenset(
    {
        ErrorKind.BAD_REQUEST,
        ErrorKind.TOO_LARGE,
        ErrorKind.CONTEXT_OVERFLOW,
        ErrorKind.MODEL_NOT_FOUND,
    }
)


class TokenCountSession(Session):
    """Counts the tokens of one prompt: asks a target that can, else estimates."""

    def __init__(self, parts: SessionParts, codec: TokenCountCodec) -> None:
        super().__init__(parts)
        self.dialect = codec.dialect
        self._codec = codec

    async def _respond(self, body: bytes) -> None:
        request = self._codec.decode_request(self._fields(body))
        operation = self._operation(request, body)
        await self._respond_to(operation, await self._resolve(request.model, operation))

    def _operation(
        self, request: ChatRequest, body: bytes, *, only_at: str | None = None
    ) -> TokenCountOperation:
        return TokenCountOperation(request, self._codec, self._inbound(body), only_at=only_at)

    async def _respond_to(self, operation: TokenCountOperation, resolution: Resolution) -> None:
        counted = None
        able = tuple(filter(operation.served_by, resolution.targets))
        if able and (operation.only_at is not None or len(able) == len(resolution.targets)):
            counted = await self._count(operation, able, resolution)
        if counted is None:
            await self._estimate(operation.request, resolution)
            return
        count, history = counted
        headers = answer_headers(history, count.dropped)
        await self._reply.json(200, self._codec.encode_count(count.input_tokens), headers)

    async def _count(
        self, operation: TokenCountOperation, targets: tuple[Target, ...], resolution: Resolution
    ) -> tuple[TokenCount, JobHistory] | None:
        """The count of a target; None: there is none to be had now."""
        job = self._job(operation, resolution, patience=_PATIENCE)
        counter = self._gateway.token_counter
        try:
            return await counter.count(job, targets, resolution.shown_name)
        except ApiFailure as failure:
            if failure.error.kind in _REQUEST_AT_FAULT:
                raise
        return None

    async def _estimate(self, request: ChatRequest, resolution: Resolution) -> None:
        target = resolution.targets[0]
        if not resolution.is_configured and is_known_to_lack(target):
            raise model_not_found(request.model)
        tokens = max(1, round(target.estimator.input_tokens(measure(request))))
        headers = {"x-forebay-estimated": "true"}
        await self._reply.json(200, self._codec.encode_count(tokens), headers)
