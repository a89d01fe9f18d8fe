"""Anthropic's Messages API, spoken to clients and to providers."""

from forebay.protocol.dialects.anthropic._codec import AnthropicMessagesCodec, AnthropicSpeech
from forebay.protocol.dialects.anthropic._names import ANTHROPIC, ANTHROPIC_MESSAGES
from forebay.protocol.dialects.anthropic._token_counts import (
    decode_count_request,
    decode_token_count,
    encode_count_request,
)

__all__ = [
    "ANTHROPIC",
    "ANTHROPIC_MESSAGES",
    "AnthropicMessagesCodec",
    "AnthropicSpeech",
    "decode_count_request",
    "decode_token_count",
    "encode_count_request",
]
