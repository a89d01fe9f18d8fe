"""The names of the dialect and of its APIs."""

from forebay.protocol.canonical.requests import Dialect
from forebay.protocol.dialects.base import Api

OLLAMA = Dialect("ollama")
OLLAMA_CHAT = Api("ollama.chat")
OLLAMA_GENERATE = Api("ollama.generate")
OLLAMA_EMBED = Api("ollama.embed")
OLLAMA_EMBEDDINGS = Api("ollama.embeddings")
