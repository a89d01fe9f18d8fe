"""The completions API, as it was before chats: ``POST /v1/completions``."""

from forebay.protocol.dialects.openai.completions._codec import OpenAICompletionsCodec
from forebay.protocol.dialects.openai.completions._splitting import split_completion
from forebay.protocol.dialects.openai.completions._streams import JoinedCompletionStream

__all__ = ["JoinedCompletionStream", "OpenAICompletionsCodec", "split_completion"]
