"""What this dialect and its APIs are called."""

from __future__ import annotations

from forebay.protocol.canonical.requests import Dialect
from forebay.protocol.dialects.base import Api

OPENAI = Dialect("openai")
"""In ``extras`` and ``Opaque`` this name stands for the chat API's own fields and parts. A request
that :data:`OPENAI_CHAT` has read always has this key in its ``extras``, if only with an empty
object: so its encoder knows a request that it read itself from one of another dialect."""

OPENAI_CHAT = Api("openai.chat")
"""``POST /v1/chat/completions``."""

OPENAI_EMBEDDINGS = Api("openai.embeddings")
"""``POST /v1/embeddings``."""

OPENAI_COMPLETIONS = Api("openai.completions")
"""``POST /v1/completions``."""

COMPLETIONS = Dialect("openai.completions")
"""In ``extras``: raw fields of the completions API, which are none of the chat API's."""

OPENAI_COMPACTION = Api("openai.responses.compact")
"""``POST /v1/responses/compact``."""

OPENAI_IMAGES = Api("openai.images.generations")
"""``POST /v1/images/generations``."""

OPENAI_IMAGE_EDITS = Api("openai.images.edits")
"""``POST /v1/images/edits``."""

OPENAI_IMAGE_VARIATIONS = Api("openai.images.variations")
"""``POST /v1/images/variations``."""

OPENAI_SPEECH = Api("openai.audio.speech")
"""``POST /v1/audio/speech``."""

OPENAI_TRANSCRIPTIONS = Api("openai.audio.transcriptions")
"""``POST /v1/audio/transcriptions``."""

OPENAI_TRANSLATIONS = Api("openai.audio.translations")
"""``POST /v1/audio/translations``."""

OPENAI_MODERATIONS = Api("openai.moderations")
"""``POST /v1/moderations``."""

OPENAI_RERANK = Api("openai.rerank")
"""``POST /v1/rerank``, of compatible servers only."""
