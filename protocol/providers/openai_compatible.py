"""Any server that speaks OpenAI's chat API: vLLM, llama.cpp, LM Studio, SGLang and others."""

from forebay.protocol.dialects.openai import OPENAI, OPENAI_CHAT
from forebay.protocol.providers.base import ProviderProfile
from forebay.protocol.providers.classification import classify_by_status

PROFILE = ProviderProfile(
    kind="openai_compatible",
    paths={OPENAI_CHAT: "/chat/completions"},
    listing_path="/models",
    listing_dialect=OPENAI,
    classify=classify_by_status,
    needs_key=False,
)
