"""OpenAI's dialect, as OpenAI and the many compatible servers speak it."""

from forebay.protocol.dialects.openai._names import (
    OPENAI,
    OPENAI_CHAT,
    OPENAI_COMPLETIONS,
    OPENAI_EMBEDDINGS,
)
from forebay.protocol.dialects.openai._speech import OpenAISpeech
from forebay.protocol.dialects.openai.chat import OpenAIChatCodec
from forebay.protocol.dialects.openai.completions import (
    JoinedCompletionStream,
    OpenAICompletionsCodec,
)
from forebay.protocol.dialects.openai.embeddings import OpenAIEmbeddingCodec
from forebay.protocol.dialects.openai.responses import OPENAI_RESPONSES, OpenAIResponsesCodec

__all__ = [
    "OPENAI",
    "OPENAI_CHAT",
    "OPENAI_COMPLETIONS",
    "OPENAI_EMBEDDINGS",
    "OPENAI_RESPONSES",
    "JoinedCompletionStream",
    "OpenAIChatCodec",
    "OpenAICompletionsCodec",
    "OpenAIEmbeddingCodec",
    "OpenAIResponsesCodec",
    "OpenAISpeech",
]
