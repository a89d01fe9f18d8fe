"""Any server that speaks OpenAI's chat API: vLLM, llama.cpp, LM Studio, SGLang and others."""

from urllib.parse import urlsplit

from forebay.protocol.dialects.base import Prefill
from forebay.protocol.dialects.openai import (
    OPENAI,
    OPENAI_CHAT,
    OPENAI_COMPLETIONS,
    OPENAI_EMBEDDINGS,
    OPENAI_IMAGE_VARIATIONS,
    OPENAI_MODERATIONS,
    OPENAI_RERANK,
)
from forebay.protocol.providers._llama_props import LLAMA_PROPS
from forebay.protocol.providers._lm_studio import LM_STUDIO_MODELS
from forebay.protocol.providers._media_paths import MEDIA_PATHS
from forebay.protocol.providers.base import Notes, Probe, ProviderProfile
from forebay.protocol.providers.classification import classify_by_status
from forebay.protocol.providers.limits.any_headers import read_any

_BY_HOST = {
    "openrouter.ai": Prefill.LAST_TURN,
    "api.mistral.ai": Prefill.PREFIX,
}
_BY_OWNER = {
    "vllm": Prefill.CONTINUE_FINAL_MESSAGE,
    "sglang": Prefill.CONTINUE_FINAL_MESSAGE,
    "llamacpp": Prefill.CONTINUE_FINAL_MESSAGE,
}
"""Servers by what they write as the owner of their models. Older ones of llama.cpp don't know the
fields, and go on with a last turn of the model's without them."""


def prefill_of(base_url: str, owner: str) -> Prefill:
    """How the server at ``base_url``, whose models are listed as owned by ``owner``, goes on with a
    turn of the model's. Servers that nothing is known of would begin a new turn."""
    address = urlsplit(base_url)
    if address.hostname == "api.deepseek.com":
        # Only its beta has it.
        return Prefill.PREFIX if address.path.startswith("/beta") else Prefill.NONE
    return _BY_HOST.get(address.hostname or "") or _BY_OWNER.get(owner, Prefill.NONE)


PROFILE = ProviderProfile(
    kind="openai_compatible",
    known_as=None,
    notes=Notes(
        title="vLLM, llama.cpp, LM Studio, SGLang and any other server in OpenAI's style",
        limits=(
            "whatever headers there are, in every known notation, and llama.cpp's own word of its "
            "slots; else by trying, or `limits.concurrency`."
        ),
        lossy=("What a server does not know it ignores, most often, and Forebay can't tell.",),
        remarks=("`base_url` is what OpenAI's clients take, with `/v1` in most cases.",),
    ),
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
    read_limits=read_any,
    details=(LLAMA_PROPS, LM_STUDIO_MODELS),
    probe=Probe(path="/models", ready_path="/health"),
    other_base_paths=("/v1",),
    needs_key=False,
    shortens_answers=True,
    prefill_of=prefill_of,
)
