"""Requests for no answer at all: ``max_tokens: 0`` only warms the provider's cache of prompts.

Other APIs take no such limit, and Ollama's takes it for none. They are asked for one token, which
the client is not shown.
"""

from __future__ import annotations

from dataclasses import replace

from forebay.protocol.canonical.events import (
    ChatResponse,
    Finish,
    FinishReason,
    Start,
    StreamError,
    StreamEvent,
    UsageReport,
)
from forebay.protocol.canonical.requests import ChatRequest
from forebay.protocol.dialects.base import StreamEncoder


def _is_prewarming(request: ChatRequest) -> bool:
    return request.max_output_tokens == 0


def as_much_as_asked(response: ChatResponse, request: ChatRequest) -> ChatResponse:
    """``response``; nothing of it where nothing was asked for."""
    if not _is_prewarming(request):
        return response
    return replace(response, parts=(), finish=FinishReason.LENGTH, stop_sequence=None)


def encoder_of_as_much_as_asked(encoder: StreamEncoder, request: ChatRequest) -> StreamEncoder:
    """``encoder``, which shows nothing where nothing was asked for."""
    return _NothingEncoder(encoder) if _is_prewarming(request) else encoder


class _NothingEncoder(StreamEncoder):
    """Writes the beginning and the end of a stream."""

    def __init__(self, encoder: StreamEncoder) -> None:
        self._encoder = encoder

    def encode(self, event: StreamEvent) -> bytes:
        match event:
            case Finish():
                return self._encoder.encode(Finish(reason=FinishReason.LENGTH))
            case Start() | UsageReport() | StreamError():
                return self._encoder.encode(event)
            case _:
                return b""

    def keepalive(self) -> bytes:
        return self._encoder.keepalive()

    def relay(self, raw: bytes) -> bytes:
        return self._encoder.relay(raw)
