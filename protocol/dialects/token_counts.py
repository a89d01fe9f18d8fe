"""What a dialect implements for its API that counts the tokens of a prompt.

Such an API takes the request for an answer, less what only an answer needs, and tells how many
tokens its prompt has. A gateway may ask an upstream, or estimate: what it must not do is fail,
because agents that plan their context block on it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from forebay.protocol.canonical.requests import ChatRequest, Dialect
from forebay.protocol.dialects.base import USUAL_SERVER, Api, EncodedRequest, UpstreamTraits
from forebay.protocol.dialects.losses import Losses
from forebay.protocol.jsontext import JsonObject


class TokenCountCodec(ABC):
    """One API that counts tokens."""

    api: Api
    dialect: Dialect
    path: str
    """Where clients post their requests."""
    losses: Losses
    """What of a request the API can't say, and what becomes of it."""

    @abstractmethod
    def decode_request(self, body: JsonObject) -> ChatRequest:
        """Read a client's request.

        Raises:
            ApiFailure: BAD_REQUEST that names the field at fault and the mend.
        """

    @abstractmethod
    def can_relay(self, request: ChatRequest, traits: UpstreamTraits = USUAL_SERVER) -> bool:
        """Whether the client's own bytes may go as they are to a server of this API."""

    @abstractmethod
    def encode_count(self, input_tokens: int) -> JsonObject:
        """Write the answer for a client."""

    @abstractmethod
    def encode_request(self, request: ChatRequest, traits: UpstreamTraits) -> EncodedRequest:
        """Ask an upstream. ``request`` may have come in any dialect; ``request.model`` is already
        the upstream's id.

        Raises:
            ApiFailure: BAD_REQUEST, the dialect can't say what the request means.
        """

    @abstractmethod
    def decode_count(self, body: JsonObject) -> int:
        """Read an upstream's answer.

        Raises:
            ApiFailure: UPSTREAM_ERROR, the answer holds no count.
        """
