"""All dialects. A new one is a folder of its own and a line in each table here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from forebay.protocol.canonical.requests import Dialect
from forebay.protocol.dialects.anthropic import AnthropicMessagesCodec, AnthropicSpeech
from forebay.protocol.dialects.base import Api, ChatCodec, DialectSpeech
from forebay.protocol.dialects.ollama import (
    OllamaChatCodec,
    OllamaGenerateCodec,
    OllamaSpeech,
)
from forebay.protocol.dialects.openai import OpenAIChatCodec, OpenAISpeech

CODECS: Mapping[Api, ChatCodec] = MappingProxyType(
    {
        codec.api: codec
        for codec in (
            OpenAIChatCodec(),
            AnthropicMessagesCodec(),
            OllamaChatCodec(),
            OllamaGenerateCodec(),
        )
    }
)

SPEECH: Mapping[Dialect, DialectSpeech] = MappingProxyType(
    {speech.dialect: speech for speech in (OpenAISpeech(), AnthropicSpeech(), OllamaSpeech())}
)
