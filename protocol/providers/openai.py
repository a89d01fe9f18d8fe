"""OpenAI's own API."""

import re
from dataclasses import replace

from forebay.protocol.dialects.base import UpstreamTraits
from forebay.protocol.dialects.openai import (
    OPENAI,
    OPENAI_CHAT,
    OPENAI_COMPACTION,
    OPENAI_COMPLETIONS,
    OPENAI_EMBEDDINGS,
    OPENAI_IMAGE_EDITS,
    OPENAI_IMAGE_VARIATIONS,
    OPENAI_IMAGES,
    OPENAI_INPUT_TOKENS,
    OPENAI_MODERATIONS,
    OPENAI_RESPONSES,
)
from forebay.protocol.providers._media_paths import MEDIA_PATHS
from forebay.protocol.providers.base import KnownAs, Notes, Probe, ProviderProfile
from forebay.protocol.providers.classification import classify_by_status
from forebay.protocol.providers.limits.openai_headers import read_openai

_SAMPLES_ITS_OWN_WAY = re.compile(r"(ft:)?(o\d+|gpt-5|codex)(-(?!chat)[^.:]*)?(:.*)?")
"""Reasoning models, which refuse ``max_tokens`` and all sampling but the default. From GPT-5.1 on
that depends on the effort that is asked for, and the API says it better than a name tells."""


_COMPLETING = ("instruct", "davinci", "babbage")
"""In the ids of the models that go on with text, fine-tuned ones among them; all others chat."""


def _completes_text(model_id: str) -> bool:
    return any(name in model_id for name in _COMPLETING)


def _model_traits(model_id: str, traits: UpstreamTraits) -> UpstreamTraits:
    if _SAMPLES_ITS_OWN_WAY.fullmatch(model_id):
        return replace(traits, takes_sampling=False)
    return traits


PROFILE = ProviderProfile(
    kind="openai",
    known_as=KnownAs(prices="openai", capabilities="openai"),
    notes=Notes(
        title="OpenAI",
        limits=(
            "the headers `x-ratelimit-*` of every answer, and the words of a 429. Tokens are "
            "reserved with the most that a request may put out, as OpenAI counts them."
        ),
        lossy=(
            "Models that reason sample their own way: what is said of temperature and its kin "
            "is dropped for them.",
            "Fields that only other servers know are dropped.",
        ),
    ),
    default_base_url="https://api.openai.com/v1",
    paths={
        OPENAI_CHAT: "/chat/completions",
        OPENAI_RESPONSES: "/responses",
        OPENAI_INPUT_TOKENS: "/responses/input_tokens",
        OPENAI_COMPACTION: "/responses/compact",
        OPENAI_COMPLETIONS: "/completions",
        OPENAI_EMBEDDINGS: "/embeddings",
        **MEDIA_PATHS,
        OPENAI_IMAGE_VARIATIONS: "/images/variations",
        OPENAI_MODERATIONS: "/moderations",
    },
    default_models={
        OPENAI_IMAGES: "dall-e-2",
        OPENAI_IMAGE_EDITS: "dall-e-2",
        OPENAI_IMAGE_VARIATIONS: "dall-e-2",
        OPENAI_MODERATIONS: "omni-moderation-latest",
    },
    listing_path="/models",
    listing_dialect=OPENAI,
    classify=classify_by_status,
    keeps_responses=True,
    read_limits=read_openai,
    probe=Probe(path="/models"),
    completes_text=_completes_text,
    traits=UpstreamTraits(max_output_field="max_completion_tokens", developer_role=True),
    model_traits=_model_traits,
    reserves_most_output=True,
)
