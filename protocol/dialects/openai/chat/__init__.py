"""The chat API: ``POST /v1/chat/completions``."""

from forebay.protocol.dialects.openai.chat._codec import OpenAIChatCodec

__all__ = ["OpenAIChatCodec"]
