"""OpenVINO's model server."""

from forebay.protocol.dialects.base import UpstreamTraits
from forebay.protocol.dialects.openai import (
    OPENAI,
    OPENAI_CHAT,
    OPENAI_COMPLETIONS,
    OPENAI_EMBEDDINGS,
    OPENAI_RERANK,
)
from forebay.protocol.providers._media_paths import MEDIA_PATHS
from forebay.protocol.providers.base import ProviderProfile
from forebay.protocol.providers.classification import classify_by_status

PROFILE = ProviderProfile(
    kind="openvino",
    default_base_url="http://127.0.0.1:8000/v3",
    # Its Responses API lacks so much that translating to chats loses less.
    paths={
        OPENAI_CHAT: "/chat/completions",
        OPENAI_COMPLETIONS: "/completions",
        OPENAI_EMBEDDINGS: "/embeddings",
        **MEDIA_PATHS,
        OPENAI_RERANK: "/rerank",
    },
    listing_path="/models",
    listing_dialect=OPENAI,
    classify=classify_by_status,
    needs_key=False,
    traits=UpstreamTraits(keeps_stop_text=True, most_embedding_inputs=500),
)
