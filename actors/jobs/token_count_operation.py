"""Asking an upstream how many tokens a prompt has."""

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
from forebay.actors.providers.sizes import RequestSize, measure
from forebay.actors.upstream import UpstreamAnswer
from forebay.protocol.canonical.errors import ApiFailure
from forebay.protocol.canonical.events import StreamError, Usage
from forebay.protocol.canonical.request_needs import needs_of_chat
from forebay.protocol.canonical.requests import ChatRequest
from forebay.protocol.dialects.registry import TOKEN_COUNT_CODECS
from forebay.protocol.dialects.token_counts import TokenCountCodec


class TokenCount(Content):
    """The count."""

    def __init__(self, input_tokens: int, dropped: tuple[str, ...] = ()) -> None:
        """
        Args:
            dropped: what its provider was not told of the request.
        """
        self.input_tokens = input_tokens
        self.dropped = dropped

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

    def __init__(
        self,
        request: ChatRequest,
        codec: TokenCountCodec,
        inbound: Inbound | None = None,
        *,
        only_at: str | None = None,
    ) -> None:
        """
        Args:
            only_at: the provider that keeps what the prompt goes on from.
        """
        self.request = request
        self.size = RequestSize(0)
        self.most_output = 0
        self.needs = needs_of_chat(request)
        self._codec = codec
        self._inbound = inbound
        self.only_at = only_at

    def served_by(self, target: Target) -> bool:
        if self.only_at not in (None, target.provider.name):
            return False
        return bool(codecs_of(target, TOKEN_COUNT_CODECS))

    def wordings(self, target: Target) -> tuple[Wording, ...]:
        codecs = codecs_of(target, TOKEN_COUNT_CODECS, self._codec)
        size = measure(self.request)
        return wordings_of(self.request, size, target, codecs, self._codec, self._inbound)

    def prepare(self, target: Target, wording: Wording) -> TokenCountCall:
        return TokenCountCall(write_request(target, wording), TOKEN_COUNT_CODECS[wording.api])


class TokenCountCall(PreparedCall[TokenCount]):
    """A prompt as it goes to a target that counts."""

    def __init__(self, request: UpstreamRequest, codec: TokenCountCodec) -> None:
        super().__init__(request)
        self._codec = codec

    async def read(self, answer: UpstreamAnswer) -> TokenCount:
        body = await answer.read(LARGEST_ANSWER)
        try:
            counted = self._codec.decode_count(read_json(body))
        except ApiFailure as failure:
            event = StreamError(failure.error)
            raise CallFailed(said_in_answer(self.request.target, event)) from None
        return TokenCount(counted, self.request.dropped)
