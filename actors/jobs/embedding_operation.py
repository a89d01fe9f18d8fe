"""Asking for embeddings."""

from __future__ import annotations

from forebay.actors.jobs.calls import LARGEST_ANSWER, read_json, said_in_answer
from forebay.actors.jobs.failures import CallFailed
from forebay.actors.jobs.operations import (
    Content,
    Inbound,
    Operation,
    PreparedCall,
    UpstreamRequest,
    Wording,
)
from forebay.actors.jobs.wordings import codecs_of, wordings_of, write_request
from forebay.actors.providers.provider import Target
from forebay.actors.providers.sizes import measure_inputs
from forebay.actors.upstream import UpstreamAnswer
from forebay.protocol.canonical.embeddings import EmbeddingRequest, EmbeddingResponse
from forebay.protocol.canonical.errors import ApiFailure
from forebay.protocol.canonical.events import StreamError, Usage
from forebay.protocol.canonical.request_needs import EMBEDDINGS
from forebay.protocol.dialects.embeddings import EmbeddingCodec, one_for_each_input
from forebay.protocol.dialects.registry import EMBEDDING_CODECS
from forebay.protocol.jsontext import JsonObject


class Embeddings(Content):
    """Vectors, in the order of the inputs."""

    def __init__(
        self,
        request: UpstreamRequest,
        body: bytes,
        fields: JsonObject,
        response: EmbeddingResponse,
        content_type: str | None,
    ) -> None:
        self.request = request
        self.body = body
        self.fields = fields
        """What ``body`` says."""
        self.response = response
        self.content_type = content_type or "application/json"

    @property
    def usage(self) -> Usage | None:
        return self.response.usage

    @property
    def output_estimate(self) -> int:
        return 0


class EmbeddingOperation(Operation[Embeddings]):
    """The vectors of some inputs, as many as one call takes."""

    verb = "makes embeddings"

    def __init__(
        self,
        request: EmbeddingRequest,
        codec: EmbeddingCodec,
        inbound: Inbound | None = None,
    ) -> None:
        """
        Args:
            codec: of the API that the client speaks.
            inbound: the request as it came; None where it is only a part of that.
        """
        self.request = request
        self.size = measure_inputs(request)
        self.most_output = 0
        self.needs = EMBEDDINGS
        self._codec = codec
        self._inbound = inbound

    def served_by(self, target: Target) -> bool:
        return bool(codecs_of(target, EMBEDDING_CODECS))

    def wordings(self, target: Target) -> tuple[Wording, ...]:
        codecs = codecs_of(target, EMBEDDING_CODECS, self._codec)
        return wordings_of(self.request, self.size, target, codecs, self._codec, self._inbound)

    def prepare(self, target: Target, wording: Wording) -> EmbeddingCall:
        request = write_request(target, wording)
        return EmbeddingCall(request, EMBEDDING_CODECS[wording.api], asked=self.request)


def most_inputs(targets: tuple[Target, ...]) -> int | None:
    """How many inputs each of ``targets`` takes in one call; None: any number."""
    limits = [
        limit
        for target in targets
        for limit in (
            codecs_of(target, EMBEDDING_CODECS)[0].most_inputs,
            target.provider.profile.traits_of(target.model_id).most_embedding_inputs,
        )
        if limit is not None
    ]
    return min(limits, default=None)


class EmbeddingCall(PreparedCall[Embeddings]):
    """A request for embeddings as it goes to a target."""

    def __init__(
        self, request: UpstreamRequest, codec: EmbeddingCodec, *, asked: EmbeddingRequest
    ) -> None:
        super().__init__(request)
        self._codec = codec
        self._asked = asked

    async def read(self, answer: UpstreamAnswer) -> Embeddings:
        body = await answer.read(LARGEST_ANSWER)
        fields = read_json(body)
        try:
            response = self._codec.decode_response(fields)
            one_for_each_input(response, self._asked)
        except ApiFailure as failure:
            event = StreamError(failure.error)
            raise CallFailed(said_in_answer(self.request.target, event)) from None
        return Embeddings(self.request, body, fields, response, answer.headers.get("content-type"))
