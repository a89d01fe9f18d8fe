"""Together: open models, with rates that it adapts to what was used of late.

Over that rate it answers 429; 503 is a lack of its own, within the rate.
"""

from forebay.protocol.dialects.openai import (
    OPENAI,
    OPENAI_CHAT,
    OPENAI_COMPLETIONS,
    OPENAI_EMBEDDINGS,
    OPENAI_IMAGES,
    OPENAI_RERANK,
    OPENAI_SPEECH,
    OPENAI_TRANSCRIPTIONS,
    OPENAI_TRANSLATIONS,
)
from forebay.protocol.providers._media_paths import MEDIA_PATHS
from forebay.protocol.providers.base import KnownAs, Notes, Probe, ProviderProfile
from forebay.protocol.providers.classification import classify_by_status
from forebay.protocol.providers.limits.plain_headers import read_together

PROFILE = ProviderProfile(
    kind="together",
    known_as=KnownAs(prices="together", capabilities="togetherai"),
    notes=Notes(
        title="Together",
        limits=(
            "the headers `x-ratelimit-*` and `x-tokenlimit-*`: requests and tokens per second, "
            "and the rate that it grants just now by what was used of late. A 429 is over that "
            "rate; a 503 is a lack of its own."
        ),
        lossy=(
            "`logprobs` is a number there, not `true`.",
            "Embeddings come as numbers; Forebay packs them where a client wants base64.",
        ),
    ),
    default_base_url="https://api.together.xyz/v1",
    paths={
        OPENAI_CHAT: "/chat/completions",
        OPENAI_COMPLETIONS: "/completions",
        OPENAI_EMBEDDINGS: "/embeddings",
        OPENAI_IMAGES: MEDIA_PATHS[OPENAI_IMAGES],
        OPENAI_SPEECH: MEDIA_PATHS[OPENAI_SPEECH],
        OPENAI_TRANSCRIPTIONS: MEDIA_PATHS[OPENAI_TRANSCRIPTIONS],
        OPENAI_TRANSLATIONS: MEDIA_PATHS[OPENAI_TRANSLATIONS],
        OPENAI_RERANK: "/rerank",
    },
    listing_path="/models",
    listing_dialect=OPENAI,
    classify=classify_by_status,
    read_limits=read_together,
    probe=Probe(path="/models"),
)
