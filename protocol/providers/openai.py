"""OpenAI's own API."""

from forebay.protocol.dialects.base import UpstreamTraits
from forebay.protocol.dialects.openai import OPENAI, OPENAI_CHAT
from forebay.protocol.providers.base import ProviderProfile
from forebay.protocol.providers.classification import classify_by_status

PROFILE = ProviderProfile(
    kind="openai",
    default_base_url="https://api.openai.com/v1",
    paths={OPENAI_CHAT: "/chat/completions"},
    listing_path="/models",
    listing_dialect=OPENAI,
    classify=classify_by_status,
    traits=UpstreamTraits(max_output_field="max_completion_tokens", developer_role=True),
)
