"""What Ollama's APIs can't say."""

from __future__ import annotations

from forebay.protocol.canonical.answer_features import AnswerFeature
from forebay.protocol.canonical.embedding_features import EmbeddingFeature
from forebay.protocol.canonical.features import Feature
from forebay.protocol.dialects.embedding_losses import EmbeddingLoss, EmbeddingLosses
from forebay.protocol.dialects.losses import (
    AnswerLosses,
    Fate,
    Losses,
    approximated,
    dropped,
    omitted,
    refused,
)
from forebay.protocol.dialects.ollama._names import (
    OLLAMA,
    OLLAMA_CHAT,
    OLLAMA_EMBED,
    OLLAMA_EMBEDDINGS,
    OLLAMA_GENERATE,
)
from forebay.protocol.dialects.shared_losses import (
    BEYOND_ONE_TEXT,
    CONVERSATION_ONLY,
    ONE_TOKEN,
    STATE,
    cache_marks,
    others_fields,
)

_NO_FIELD = "the API has no such field"
_INLINE = "takes only what is in the request itself"

_SHARED = (
    *STATE,
    refused(Feature.CHOICES, "n", "gives one answer a request"),
    refused(Feature.AUDIO, "messages", "takes no audio"),
    refused(
        Feature.IMAGE_LINKS,
        "messages",
        "takes only what is in the request itself; the gateway gets the image first, if it may",
    ),
    refused(Feature.IMAGE_FILES, "messages", _INLINE),
    refused(Feature.DOCUMENTS, "messages", "takes no documents"),
    refused(Feature.TEXT_DOCUMENTS, "messages", "takes no documents"),
    refused(Feature.DOCUMENT_LINKS, "messages", "takes no documents"),
    refused(Feature.DOCUMENT_FILES, "messages", "takes no documents"),
    refused(Feature.OWN_PARTS, "messages", "has no form for it"),
    dropped(Feature.LOGIT_BIAS, "logit_bias", _NO_FIELD),
    dropped(Feature.USER_ID, "user", _NO_FIELD),
    dropped(Feature.METADATA, "metadata", _NO_FIELD),
    dropped(Feature.SERVICE_TIER, "service_tier", _NO_FIELD),
    dropped(Feature.SCHEMA_STRICT, "strict", "schemas are held to as the server does it"),
    omitted(Feature.SCHEMA_NAME, "schemas have none"),
    dropped(Feature.NAMES, "name", _NO_FIELD),
    dropped(Feature.IMAGE_DETAIL, "detail", _NO_FIELD),
    cache_marks(None),
    *others_fields(OLLAMA),
    approximated(Feature.UNCOMMON_EFFORT, "the nearest of `low`, `medium`, `high` and `max`"),
    approximated(Feature.NO_OUTPUT, ONE_TOKEN),
    approximated(Feature.BUDGET, "`think`, without a measure"),
    omitted(Feature.ADAPTIVE_REASONING, "what leaving `think` out means"),
    approximated(Feature.DEVELOPER, "`system`"),
)

CHAT_LOSSES = Losses(
    OLLAMA_CHAT,
    OLLAMA,
    *CONVERSATION_ONLY,
    refused(Feature.SERVER_TOOLS, "tools", "runs no tools itself"),
    dropped(Feature.ONE_CALL, "parallel_tool_calls", _NO_FIELD),
    *_SHARED,
    dropped(
        Feature.FORCED_TOOLS,
        "tool_choice",
        "a named tool is the only one that is declared; that a call must come can't be said",
        by_circumstance=True,
    ),
    dropped(Feature.STRICT_TOOLS, "tools.strict", _NO_FIELD, by_circumstance=True),
    approximated(Feature.TOOL_ERRORS, "the text begins with `Error:`"),
    omitted(Feature.SIGNATURES, "no other provider can read them"),
    approximated(Feature.PAST_REFUSALS, "said as text"),
)

GENERATE_LOSSES = Losses(
    OLLAMA_GENERATE,
    OLLAMA,
    *BEYOND_ONE_TEXT,
    refused(Feature.TOOLS, "tools", "takes no tools"),
    refused(Feature.SERVER_TOOLS, "tools", "takes no tools"),
    refused(Feature.CONVERSATION, "messages", "takes one prompt, with a system prompt at most"),
    *_SHARED,
)

_EMBEDDING_SHARED = (
    EmbeddingLoss(EmbeddingFeature.TOKENS, Fate.REFUSED, "input", "reads text only"),
    EmbeddingLoss(
        EmbeddingFeature.BASE64, Fate.OMITTED, "", "the gateway writes the vectors so itself"
    ),
    EmbeddingLoss(EmbeddingFeature.USER_ID, Fate.DROPPED, "user", _NO_FIELD),
)

EMBED_LOSSES = EmbeddingLosses(OLLAMA_EMBED, OLLAMA, *_EMBEDDING_SHARED)

EMBEDDINGS_LOSSES = EmbeddingLosses(
    OLLAMA_EMBEDDINGS,
    OLLAMA,
    EmbeddingLoss(
        EmbeddingFeature.DIMENSIONS, Fate.REFUSED, "dimensions", "can't shorten its vectors"
    ),
    EmbeddingLoss(EmbeddingFeature.TO_BE_CUT, Fate.DROPPED, "truncate", _NO_FIELD),
    EmbeddingLoss(EmbeddingFeature.NOT_TO_BE_CUT, Fate.DROPPED, "truncate", _NO_FIELD),
    *_EMBEDDING_SHARED,
)

ANSWER_LOSSES = AnswerLosses(
    {
        AnswerFeature.SIGNATURES: "only who made them can read them",
        AnswerFeature.OWN_PARTS: "no form for them",
        AnswerFeature.REMARKS: "another form, which they don't fit",
        AnswerFeature.REFUSALS: "shown as text",
        AnswerFeature.ORDER: "a message holds its text first, then its calls",
        AnswerFeature.STOP_SEQUENCE: "no such field",
        AnswerFeature.CONTEXT_FULL: "shown as cut off by its limit",
        AnswerFeature.PAUSED: "shown as at its end",
        AnswerFeature.REFUSED: "shown as at its end",
        AnswerFeature.CACHE_READ: "no such count",
        AnswerFeature.CACHE_WRITE: "no such count",
        AnswerFeature.REASONING_COUNT: "no such count",
    },
    frozenset({AnswerFeature.REMARKS}),
)
