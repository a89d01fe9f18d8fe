"""What the Responses API can't say."""

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
from forebay.protocol.dialects.openai._names import OPENAI
from forebay.protocol.dialects.openai._shared_losses import (
    AS_IT_SEES_FIT,
    ERROR_TEXT,
    NO_FIELD,
    OWN_REASONING,
    OWN_TIERS,
    STAND_IN,
    STORED_ONLY,
    UNKNOWN_FILE,
)
from forebay.protocol.dialects.openai.responses._names import OPENAI_RESPONSES, RESPONSES
from forebay.protocol.dialects.shared_losses import (
    CONVERSATION_ONLY,
    cache_marks,
    others_fields,
)

LOSSES = Losses(
    OPENAI_RESPONSES,
    RESPONSES,
    *CONVERSATION_ONLY,
    refused(Feature.CHOICES, "n", "gives one answer a request"),
    refused(Feature.STOP, "stop", "the API has no such field, and the answer would go on"),
    refused(Feature.IMAGE_FILES, "messages", UNKNOWN_FILE, kept_from=(RESPONSES,)),
    refused(Feature.DOCUMENT_FILES, "messages", UNKNOWN_FILE, kept_from=(RESPONSES, OPENAI)),
    refused(Feature.OWN_PARTS, "messages", "has no form for it", kept_from=(RESPONSES,)),
    refused(Feature.SERVER_TOOLS, "tools", "runs other tools itself", kept_from=(RESPONSES,)),
    *(
        dropped(
            feature,
            name,
            AS_IT_SEES_FIT,
            server=Server.OWN_SAMPLING,
            kept_from=(RESPONSES,),
            by_circumstance=True,
        )
        for feature, name in ((Feature.TEMPERATURE, "temperature"), (Feature.TOP_P, "top_p"))
    ),
    dropped(Feature.NAMES, "name", NO_FIELD),
    dropped(Feature.TOP_K, "top_k", NO_FIELD),
    dropped(Feature.MIN_P, "min_p", NO_FIELD),
    dropped(Feature.SEED, "seed", NO_FIELD),
    dropped(Feature.FREQUENCY_PENALTY, "frequency_penalty", NO_FIELD),
    dropped(Feature.PRESENCE_PENALTY, "presence_penalty", NO_FIELD),
    dropped(Feature.REPEAT_PENALTY, "repeat_penalty", NO_FIELD),
    dropped(Feature.LOGIT_BIAS, "logit_bias", NO_FIELD),
    approximated(Feature.SMALL_LIMIT, "16, the least that the API takes", kept_from=(RESPONSES,)),
    approximated(Feature.NO_OUTPUT, "16, the least that the API takes", kept_from=(RESPONSES,)),
    dropped(Feature.METADATA, "metadata", STORED_ONLY, kept_from=(RESPONSES,)),
    dropped(Feature.SERVICE_TIER, "service_tier", OWN_TIERS, kept_from=(RESPONSES, OPENAI)),
    approximated(Feature.LONG_USER_ID, "a hash of it", kept_from=(RESPONSES,)),
    approximated(Feature.BUDGET, "the effort that fits it"),
    omitted(Feature.OPEN_REASONING, "the model's own default"),
    approximated(Feature.FREE_TOOL_NAMES, STAND_IN, kept_from=(RESPONSES,)),
    approximated(Feature.TOOL_ERRORS, ERROR_TEXT),
    approximated(Feature.DEVELOPER, "in `instructions`", kept_from=(RESPONSES,)),
    omitted(Feature.PAST_REASONING, OWN_REASONING, kept_from=(RESPONSES,)),
    omitted(Feature.SIGNATURES, "no other provider can read them"),
    approximated(Feature.TEXT_DOCUMENTS, "said as text"),
    cache_marks(RESPONSES),
    dropped(Feature.CITATIONS, "citations", NO_FIELD, kept_from=(RESPONSES,)),
    *others_fields(RESPONSES),
    no_word_for=(Feature.CITATIONS, Feature.CACHE_MARKS),
)

ANSWER_LOSSES = AnswerLosses(
    {
        AnswerFeature.SIGNATURES: ("inside of `encrypted_content`, where the client asks for that"),
        AnswerFeature.OWN_PARTS: "no form for them",
        AnswerFeature.REMARKS: "another form, which they don't fit",
        AnswerFeature.STOP_SEQUENCE: "no such field",
        AnswerFeature.CONTEXT_FULL: "shown as cut off by its limit",
        AnswerFeature.PAUSED: "shown as at its end",
    },
    frozenset({AnswerFeature.REMARKS, AnswerFeature.OWN_PARTS}),
)
