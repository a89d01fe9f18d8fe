"""The Responses API: ``POST /v1/responses``."""

from forebay.protocol.dialects.openai.responses._answer_encoding import kept_output
from forebay.protocol.dialects.openai.responses._codec import OpenAIResponsesCodec
from forebay.protocol.dialects.openai.responses._names import OPENAI_INPUT_TOKENS, OPENAI_RESPONSES
from forebay.protocol.dialects.openai.responses._stream_encoding import ResponsesStreamEncoder
from forebay.protocol.dialects.openai.responses._token_counts import OpenAIInputTokenCodec

__all__ = [
    "OPENAI_INPUT_TOKENS",
    "OPENAI_RESPONSES",
    "OpenAIInputTokenCodec",
    "OpenAIResponsesCodec",
    "ResponsesStreamEncoder",
    "kept_output",
]
