"""OpenAI's models at Azure by the older paths: the deployment stands in the path, and the version
of the API in the query."""

from dataclasses import replace
from typing import Final

from forebay.protocol.dialects.openai import (
    OPENAI_CHAT,
    OPENAI_COMPLETIONS,
    OPENAI_EMBEDDINGS,
    OPENAI_IMAGES,
    OPENAI_SPEECH,
    OPENAI_TRANSCRIPTIONS,
    OPENAI_TRANSLATIONS,
)
from forebay.protocol.providers import azure
from forebay.protocol.providers.base import Notes, Probe

_VERSION: Final = "api-version=2024-10-21"
"""The last one that is no preview: what came later is at the v1 path."""
_APIS: Final = (
    OPENAI_CHAT,
    OPENAI_COMPLETIONS,
    OPENAI_EMBEDDINGS,
    OPENAI_IMAGES,
    OPENAI_SPEECH,
    OPENAI_TRANSCRIPTIONS,
    OPENAI_TRANSLATIONS,
)

PROFILE = replace(
    azure.PROFILE,
    kind="azure_deployments",
    notes=Notes(
        title="OpenAI's models at Azure, by the paths of their deployments",
        limits="as for `azure`.",
        lossy=(
            "As for `openai`.",
            "There is no Responses API: its requests are put as chats. `azure` has it.",
        ),
        remarks=(
            "For resources, and for gateways before them, that have no `/openai/v1`. `base_url` is "
            "the resource's address with `/openai`.",
            "A model is asked for by the name of its deployment, which a key can't list: name "
            "them in `targets`.",
        ),
    ),
    paths={api: f"/deployments/{{model}}{azure.PROFILE.paths[api]}?{_VERSION}" for api in _APIS},
    keeps_responses=False,
    listing_path=f"/models?{_VERSION}",
    probe=Probe(path=f"/models?{_VERSION}"),
    other_base_paths=("/openai",),
)
