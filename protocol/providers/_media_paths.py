"""Where servers in OpenAI's style have their APIs for images and sound."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from forebay.protocol.dialects.base import Api
from forebay.protocol.dialects.openai import (
    OPENAI_IMAGE_EDITS,
    OPENAI_IMAGES,
    OPENAI_SPEECH,
    OPENAI_TRANSCRIPTIONS,
    OPENAI_TRANSLATIONS,
)

MEDIA_PATHS: Final[Mapping[Api, str]] = MappingProxyType(
    {
        OPENAI_IMAGES: "/images/generations",
        OPENAI_IMAGE_EDITS: "/images/edits",
        OPENAI_SPEECH: "/audio/speech",
        OPENAI_TRANSCRIPTIONS: "/audio/transcriptions",
        OPENAI_TRANSLATIONS: "/audio/translations",
    }
)
"""Below the base URL."""
