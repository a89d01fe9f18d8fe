"""Anthropic's Messages API, spoken to clients and to providers."""

from forebay.protocol.dialects.anthropic._codec import AnthropicMessagesCodec, AnthropicSpeech
from forebay.protocol.dialects.anthropic._names import (
    ANTHROPIC,
    ANTHROPIC_COUNT_TOKENS,
    ANTHROPIC_MESSAGES,
)
from forebay.protocol.dialects.anthropic._token_counts import AnthropicTokenCountCodec

__all__ = [
    "ANTHROPIC",
    "ANTHROPIC_COUNT_TOKENS",
    "ANTHROPIC_MESSAGES",
    "AnthropicMessagesCodec",
    "AnthropicSpeech",
    "AnthropicTokenCountCodec",
]
