"""OpenAI's dialect, as OpenAI and the many compatible servers speak it."""

from forebay.protocol.dialects.openai._names import (
    OPENAI,
    OPENAI_CHAT,
    OPENAI_COMPACTION,
    OPENAI_COMPLETIONS,
    OPENAI_EMBEDDINGS,
    OPENAI_IMAGE_EDITS,
    OPENAI_IMAGE_VARIATIONS,
    OPENAI_IMAGES,
    OPENAI_MODERATIONS,
    OPENAI_RERANK,
    OPENAI_SPEECH,
    OPENAI_TRANSCRIPTIONS,
    OPENAI_TRANSLATIONS,
)
from forebay.protocol.dialects.openai._relayed import RELAYED_BY_OPENAI
from forebay.protocol.dialects.openai._speech import OpenAISpeech
from forebay.protocol.dialects.openai.chat import OpenAIChatCodec
from forebay.protocol.dialects.openai.completions import (
    JoinedCompletionStream,
    OpenAICompletionsCodec,
)
from forebay.protocol.dialects.openai.embeddings import OpenAIEmbeddingCodec
from forebay.protocol.dialects.openai.responses import (
    OPENAI_INPUT_TOKENS,
    OPENAI_RESPONSES,
    OpenAIInputTokenCodec,
    OpenAIResponsesCodec,
)

__all__ = [
    "OPENAI",
    "OPENAI_CHAT",
    "OPENAI_COMPACTION",
    "OPENAI_COMPLETIONS",
    "OPENAI_EMBEDDINGS",
    "OPENAI_IMAGES",
    "OPENAI_IMAGE_EDITS",
    "OPENAI_IMAGE_VARIATIONS",
    "OPENAI_INPUT_TOKENS",
    "OPENAI_MODERATIONS",
    "OPENAI_RERANK",
    "OPENAI_RESPONSES",
    "OPENAI_SPEECH",
    "OPENAI_TRANSCRIPTIONS",
    "OPENAI_TRANSLATIONS",
    "RELAYED_BY_OPENAI",
    "JoinedCompletionStream",
    "OpenAIChatCodec",
    "OpenAICompletionsCodec",
    "OpenAIEmbeddingCodec",
    "OpenAIInputTokenCodec",
    "OpenAIResponsesCodec",
    "OpenAISpeech",
]
