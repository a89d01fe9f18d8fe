"""Ollama's native dialect: ``/api/chat``, ``/api/generate``, ``/api/embed``, and lists of
models.

Its streams are lines of JSON, its errors one string. What belongs to the runner alone (``num_ctx``,
``keep_alive``, ``template``) travels in a request's extras, and back to Ollama only.
"""

from forebay.protocol.dialects.ollama._chat import OllamaChatCodec
from forebay.protocol.dialects.ollama._codecs import OllamaCodec
from forebay.protocol.dialects.ollama._embeddings import OllamaEmbedCodec, OllamaEmbeddingsCodec
from forebay.protocol.dialects.ollama._generate import OllamaGenerateCodec
from forebay.protocol.dialects.ollama._loading import LoadAction, load_reply
from forebay.protocol.dialects.ollama._names import (
    OLLAMA,
    OLLAMA_CHAT,
    OLLAMA_EMBED,
    OLLAMA_EMBEDDINGS,
    OLLAMA_GENERATE,
)
from forebay.protocol.dialects.ollama._speech import OllamaSpeech
from forebay.protocol.dialects.ollama.loaded import decode_running, stay_after
from forebay.protocol.dialects.ollama.models import (
    encode_running,
    encode_show,
    encode_status,
    encode_version,
    matches,
)
from forebay.protocol.dialects.ollama.shown import ask_to_show, decode_shown

__all__ = [
    "OLLAMA",
    "OLLAMA_CHAT",
    "OLLAMA_EMBED",
    "OLLAMA_EMBEDDINGS",
    "OLLAMA_GENERATE",
    "LoadAction",
    "OllamaChatCodec",
    "OllamaCodec",
    "OllamaEmbedCodec",
    "OllamaEmbeddingsCodec",
    "OllamaGenerateCodec",
    "OllamaSpeech",
    "ask_to_show",
    "decode_running",
    "decode_shown",
    "encode_running",
    "encode_show",
    "encode_status",
    "encode_version",
    "load_reply",
    "matches",
    "stay_after",
]
