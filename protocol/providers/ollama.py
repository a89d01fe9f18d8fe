"""Ollama servers: one or several hosts that hold the same models."""

from forebay.protocol.dialects.ollama import OLLAMA, OLLAMA_CHAT, OLLAMA_GENERATE
from forebay.protocol.providers.base import ProviderProfile
from forebay.protocol.providers.classification import classify_by_status

PROFILE = ProviderProfile(
    kind="ollama",
    default_base_url="http://127.0.0.1:11434",
    paths={OLLAMA_CHAT: "/api/chat", OLLAMA_GENERATE: "/api/generate"},
    listing_path="/api/tags",
    listing_dialect=OLLAMA,
    classify=classify_by_status,
    needs_key=False,
    takes_hosts=True,
)
