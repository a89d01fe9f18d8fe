"""What the chat API can't say, and what only compatible servers of it can."""

from __future__ import annotations

from forebay.protocol.canonical.answer_features import AnswerFeature
from forebay.protocol.canonical.features import Feature
from forebay.protocol.dialects.losses import (
    AnswerLosses,
    Losses,
    Server,
    approximated,
    dropped,
    omitted,
    refused,
)
from forebay.protocol.dialects.openai._names import OPENAI, OPENAI_CHAT
from forebay.protocol.dialects.openai._shared_losses import (
    BEYOND_OPENAI,
    ERROR_TEXT,
    NO_FIELD,
    OWN_REASONING,
    OWN_SAMPLING,
    OWN_TIERS,
    STAND_IN,
    STORED_ONLY,
    UNKNOWN_FILE,
)
from forebay.protocol.dialects.shared_losses import (
    CONVERSATION_ONLY,
    ONE_TOKEN,
    STATE,
    cache_marks,
    others_fields,
)

LOSSES = Losses(
    OPENAI_CHAT,
    OPENAI,
    *STATE,
    *CONVERSATION_ONLY,
    refused(Feature.IMAGE_FILES, "messages", "takes links and data"),
    refused(Feature.DOCUMENT_LINKS, "messages", "takes data", kept_from=(OPENAI,)),
    refused(Feature.DOCUMENT_FILES, "messages", UNKNOWN_FILE, kept_from=(OPENAI,)),
    refused(Feature.OWN_PARTS, "messages", "has no form for it", kept_from=(OPENAI,)),
    refused(Feature.SERVER_TOOLS, "tools", "runs other tools itself", kept_from=(OPENAI,)),
    *OWN_SAMPLING,
    *BEYOND_OPENAI,
    dropped(Feature.METADATA, "metadata", STORED_ONLY, kept_from=(OPENAI,)),
    dropped(Feature.SERVICE_TIER, "service_tier", OWN_TIERS, kept_from=(OPENAI,)),
    approximated(Feature.LONG_USER_ID, "a hash of it", server=Server.OPENAI, kept_from=(OPENAI,)),
    approximated(
        Feature.UNCOMMON_EFFORT,
        "the nearest of `low`, `medium` and `high`, which all servers know",
        server=Server.COMPATIBLE,
        kept_from=(OPENAI,),
    ),
    approximated(Feature.BUDGET, "the effort that fits it"),
    omitted(Feature.OPEN_REASONING, "the model's own default"),
    approximated(Feature.FREE_TOOL_NAMES, STAND_IN, kept_from=(OPENAI,)),
    approximated(Feature.TOOL_ERRORS, ERROR_TEXT),
    approximated(Feature.TOOL_IMAGES, "in a message of the user after the results"),
    approximated(Feature.NO_OUTPUT, ONE_TOKEN),
    approximated(Feature.DEVELOPER, "`system`", server=Server.COMPATIBLE),
    omitted(Feature.PAST_REASONING, OWN_REASONING, kept_from=(OPENAI,)),
    omitted(Feature.SIGNATURES, "no other provider can read them"),
    approximated(Feature.PAST_REFUSALS, "said as text", kept_from=(OPENAI,)),
    approximated(Feature.TEXT_DOCUMENTS, "said as text"),
    cache_marks(OPENAI),
    dropped(Feature.CITATIONS, "citations", NO_FIELD, kept_from=(OPENAI,)),
    *others_fields(OPENAI),
    no_word_for=(Feature.CITATIONS,),
)

ANSWER_LOSSES = AnswerLosses(
    {
        AnswerFeature.SIGNATURES: "only who made them can read them",
        AnswerFeature.OWN_PARTS: "no form for them",
        AnswerFeature.REMARKS: "another form, which they don't fit",
        AnswerFeature.ORDER: "a message holds its text first, then its calls",
        AnswerFeature.CONTEXT_FULL: "shown as cut off by its limit",
        AnswerFeature.PAUSED: "shown as at its end",
    },
    frozenset({AnswerFeature.REMARKS, AnswerFeature.OWN_PARTS}),
    streamed=frozenset({AnswerFeature.ORDER}),
)
