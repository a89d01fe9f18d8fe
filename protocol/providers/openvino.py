"""OpenVINO's model server."""

from forebay.protocol.dialects.base import UpstreamTraits
from forebay.protocol.dialects.openai import OPENAI, OPENAI_CHAT
from forebay.protocol.providers.base import ProviderProfile
from forebay.protocol.providers.classification import classify_by_status

PROFILE = ProviderProfile(
    kind="openvino",
    default_base_url="http://127.0.0.1:8000/v3",
    paths={OPENAI_CHAT: "/chat/completions"},
    listing_path="/models",
    listing_dialect=OPENAI,
    classify=classify_by_status,
    needs_key=False,
    traits=UpstreamTraits(keeps_stop_text=True),
)
