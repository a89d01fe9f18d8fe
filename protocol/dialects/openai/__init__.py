"""OpenAI's dialect, as OpenAI and the many compatible servers speak it."""

from forebay.protocol.dialects.openai._names import OPENAI, OPENAI_CHAT
from forebay.protocol.dialects.openai._speech import OpenAISpeech
from forebay.protocol.dialects.openai.chat import OpenAIChatCodec

__all__ = ["OPENAI", "OPENAI_CHAT", "OpenAIChatCodec", "OpenAISpeech"]
