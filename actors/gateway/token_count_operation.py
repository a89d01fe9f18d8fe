"""Asking an upstream how many tokens a prompt has."""

from __future__ import annotations

from forebay.actors.gateway.calls import LARGEST_ANSWER, read_json, said_in_answer
from forebay.actors.gateway.failures import CallFailed
from forebay.actors.gateway.operations import (
    Content,
    Inbound,
    Operation,
    PreparedCall,
    UpstreamRequest,
    Wording,
    codecs_of,
    own_or_best,
    wording_for,
    write_request,
)
from forebay.actors.gateway.provider import Target
from forebay.actors.gateway.sizes import RequestSize
from forebay.actors.upstream import UpstreamAnswer
from forebay.protocol.canonical.errors import ApiFailure
from forebay.protocol.canonical.events import StreamError, Usage
from forebay.protocol.canonical.requests import ChatRequest
from forebay.protocol.dialects.registry import TOKEN_COUNT_CODECS
from forebay.protocol.dialects.token_counts import TokenCountCodec


class TokenCount(Content):
    """The count."""

    def __init__(self, input_tokens: int) -> None:
        self.input_tokens = input_tokens

    @property
    def usage(self) -> Usage | None:
        """Counting uses no tokens."""
        return Usage(counted=False)

    @property
    def output_estimate(self) -> int:
        return 0


class TokenCountOperation(Operation[TokenCount]):
    """How many tokens a prompt has."""

    verb = "counts tokens"
    has_own_limits = True

    def __init__(
        self, request: ChatRequest, codec: TokenCountCodec, inbound: Inbound | None = None
    ) -> None:
        self.request = request
        self.size = RequestSize(0)
        self.most_output = 0
        self._codec = codec
        self._inbound = inbound

    def served_by(self, target: Target) -> bool:
        return bool(codecs_of(target, TOKEN_COUNT_CODECS))

    def wording(self, target: Target) -> Wording | None:
        codec, inbound = self._way_to(target)
        return wording_for(target, codec, self.request, inbound)

    def prepare(self, target: Target) -> TokenCountCall:
        codec, inbound = self._way_to(target)
        return TokenCountCall(write_request(target, codec, self.request, inbound), codec)

    def _way_to(self, target: Target) -> tuple[TokenCountCodec, Inbound | None]:
        return own_or_best(self._codec, codecs_of(target, TOKEN_COUNT_CODECS), self._inbound)


class TokenCountCall(PreparedCall[TokenCount]):
    """A prompt as it goes to a target that counts."""

    def __init__(self, request: UpstreamRequest, codec: TokenCountCodec) -> None:
        super().__init__(request)
        self._codec = codec

    async def read(self, answer: UpstreamAnswer) -> TokenCount:
        body = await answer.read(LARGEST_ANSWER)
        try:
            return TokenCount(self._codec.decode_count(read_json(body)))
        except ApiFailure as failure:
            event = StreamError(failure.error)
            raise CallFailed(said_in_answer(self.request.target, event)) from None
