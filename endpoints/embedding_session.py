"""A session that asks for embeddings."""

from __future__ import annotations

from forebay.actors.jobs.embedding_operation import EmbeddingOperation, most_inputs
from forebay.actors.jobs.failures import joined_history
from forebay.actors.providers.sizes import measure_inputs
from forebay.actors.routing.catalog import Resolution
from forebay.endpoints.errors import answer_headers
from forebay.endpoints.session import Session, SessionParts
from forebay.protocol.canonical.embeddings import EmbeddingRequest, join, split
from forebay.protocol.dialects.embeddings import EmbeddingCodec, EmbeddingContext


class EmbeddingSession(Session):
    """Serves one request for embeddings, in as many calls as its targets need."""

    def __init__(self, parts: SessionParts, codec: EmbeddingCodec) -> None:
        super().__init__(parts)
        self.dialect = codec.dialect
        self._codec = codec

    async def _respond(self, body: bytes) -> None:
        request = self._codec.decode_request(self._fields(body))
        operation = EmbeddingOperation(request, self._codec, self._inbound(body))
        resolution = await self._resolve(request.model, operation)
        context = EmbeddingContext(
            request=request,
            input_tokens_estimate=max(1, round(measure_inputs(request).tokens(0.25))),
            elapsed_ns=self._elapsed_ns,
        )
        whole = self._codec.reply_without_model(request, context)
        if whole is not None:
            await self._reply.json(200, whole, {})
            return
        targets = self._gateway.serving(operation, resolution)
        parts = split(request, most_inputs(targets))
        async with self._held(resolution):
            if len(parts) == 1:
                await self._send_one(operation, resolution, context)
            else:
                await self._send_joined(parts, resolution, context)

    async def _send_one(
        self, operation: EmbeddingOperation, resolution: Resolution, context: EmbeddingContext
    ) -> None:
        job = self._job(operation, resolution)
        async with self._gateway.open_answer(job, resolution) as answer:
            content = answer.content
            headers = answer_headers(answer.history, content.request.dropped)
            if content.request.passes_through and self._codec.can_relay_answer(
                content.fields, context.request
            ):
                await self._reply.whole(200, content.body, content.content_type, headers)
            else:
                encoded = self._codec.encode_response(content.response, context)
                await self._reply.json(200, encoded, headers)

    async def _send_joined(
        self, parts: list[EmbeddingRequest], resolution: Resolution, context: EmbeddingContext
    ) -> None:
        jobs = [self._job(EmbeddingOperation(part, self._codec), resolution) for part in parts]
        answers = await self._gateway.answers(jobs, resolution)
        response = join([answer.content.response for answer in answers])
        dropped = dict.fromkeys(
            name for answer in answers for name in answer.content.request.dropped
        )
        headers = answer_headers(
            joined_history([answer.history for answer in answers]), tuple(dropped)
        )
        encoded = self._codec.encode_response(response, context)
        await self._reply.json(200, encoded, headers)
