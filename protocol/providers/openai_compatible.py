"""Any server that speaks OpenAI's chat API: vLLM, llama.cpp, LM Studio, SGLang and others."""

from forebay.protocol.dialects.openai import (
    OPENAI,
    OPENAI_CHAT,
    OPENAI_COMPLETIONS,
    OPENAI_EMBEDDINGS,
    OPENAI_IMAGE_VARIATIONS,
    OPENAI_MODERATIONS,
    OPENAI_RERANK,
)
from forebay.protocol.providers._media_paths import MEDIA_PATHS
from forebay.protocol.providers.base import ProviderProfile
from forebay.protocol.providers.classification import classify_by_status

PROFILE = ProviderProfile(
    kind="openai_compatible",
    # Few servers have all of these; what one lacks, it answers 404.
    paths={
        OPENAI_CHAT: "/chat/completions",
        OPENAI_COMPLETIONS: "/completions",
        OPENAI_EMBEDDINGS: "/embeddings",
        **MEDIA_PATHS,
        OPENAI_IMAGE_VARIATIONS: "/images/variations",
        OPENAI_MODERATIONS: "/moderations",
        OPENAI_RERANK: "/rerank",
    },
    listing_path="/models",
    listing_dialect=OPENAI,
    classify=classify_by_status,
    needs_key=False,
)
