"""All dialects. A new one is a folder of its own and a line in each table that it has part in."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from forebay.protocol.canonical.requests import Dialect
from forebay.protocol.dialects.anthropic import (
    AnthropicMessagesCodec,
    AnthropicSpeech,
    AnthropicTokenCountCodec,
)
from forebay.protocol.dialects.base import Api, ChatCodec, DialectSpeech
from forebay.protocol.dialects.embeddings import EmbeddingCodec
from forebay.protocol.dialects.ollama import (
    OllamaChatCodec,
    OllamaEmbedCodec,
    OllamaEmbeddingsCodec,
    OllamaGenerateCodec,
    OllamaSpeech,
)
from forebay.protocol.dialects.openai import (
    RELAYED_BY_OPENAI,
    OpenAIChatCodec,
    OpenAICompletionsCodec,
    OpenAIEmbeddingCodec,
    OpenAIInputTokenCodec,
    OpenAIResponsesCodec,
    OpenAISpeech,
)
from forebay.protocol.dialects.relayed import RelayedApi
from forebay.protocol.dialects.token_counts import TokenCountCodec

CODECS: Mapping[Api, ChatCodec] = MappingProxyType(
    {
        codec.api: codec
        for codec in (
            OpenAIChatCodec(),
            OpenAIResponsesCodec(),
            OpenAICompletionsCodec(),
            AnthropicMessagesCodec(),
            OllamaChatCodec(),
            OllamaGenerateCodec(),
        )
    }
)

EMBEDDING_CODECS: Mapping[Api, EmbeddingCodec] = MappingProxyType(
    {
        codec.api: codec
        for codec in (OpenAIEmbeddingCodec(), OllamaEmbedCodec(), OllamaEmbeddingsCodec())
    }
)

TOKEN_COUNT_CODECS: Mapping[Api, TokenCountCodec] = MappingProxyType(
    {codec.api: codec for codec in (AnthropicTokenCountCodec(), OpenAIInputTokenCodec())}
)

RELAYED: Mapping[Api, RelayedApi] = MappingProxyType({each.api: each for each in RELAYED_BY_OPENAI})
"""What no codec reads."""

SPEECH: Mapping[Dialect, DialectSpeech] = MappingProxyType(
    {speech.dialect: speech for speech in (OpenAISpeech(), AnthropicSpeech(), OllamaSpeech())}
)
