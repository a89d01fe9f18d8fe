"""The Responses API: ``POST /v1/responses``."""

from forebay.protocol.dialects.openai.responses._answer_encoding import kept_output
from forebay.protocol.dialects.openai.responses._codec import OpenAIResponsesCodec
from forebay.protocol.dialects.openai.responses._names import OPENAI_RESPONSES
from forebay.protocol.dialects.openai.responses._stream_encoding import ResponsesStreamEncoder

__all__ = [
    "OPENAI_RESPONSES",
    "OpenAIResponsesCodec",
    "ResponsesStreamEncoder",
    "kept_output",
]
