"""The chat API: ``POST /v1/chat/completions``."""

from forebay.protocol.dialects.openai.chat._answer_decoding import decode_answer
from forebay.protocol.dialects.openai.chat._codec import OpenAIChatCodec
from forebay.protocol.dialects.openai.chat._stream_decoding import ChatStreamDecoder

__all__ = ["ChatStreamDecoder", "OpenAIChatCodec", "decode_answer"]
