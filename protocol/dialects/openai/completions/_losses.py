"""What the completions API can't say, and what only compatible servers of it can."""

from __future__ import annotations

from forebay.protocol.canonical.answer_features import AnswerFeature
from forebay.protocol.canonical.features import Feature
from forebay.protocol.dialects.losses import AnswerLosses, Losses, dropped, omitted, refused
from forebay.protocol.dialects.openai._names import COMPLETIONS, OPENAI_COMPLETIONS
from forebay.protocol.dialects.openai._shared_losses import BEYOND_OPENAI, NO_FIELD, OWN_SAMPLING
from forebay.protocol.dialects.shared_losses import (
    OWN_SURROUNDINGS,
    STATE,
    cache_marks,
    others_fields,
)

LOSSES = Losses(
    OPENAI_COMPLETIONS,
    COMPLETIONS,
    *STATE,
    *OWN_SURROUNDINGS,
    refused(Feature.CHAT, "messages", "goes on with a text, and can't answer in a conversation"),
    refused(Feature.TOOLS, "tools", "calls no tools"),
    refused(Feature.SERVER_TOOLS, "tools", "calls no tools"),
    refused(Feature.JSON_OUTPUT, "format", "can't be held to a form"),
    refused(Feature.JSON_SCHEMA, "format", "can't be held to a form"),
    refused(Feature.INSTRUCTIONS, "system", "reads text as it stands"),
    refused(Feature.CONVERSATION, "system", "goes on with one text"),
    refused(Feature.IMAGES, "images", "reads text only"),
    *(
        refused(feature, "images", "reads text only")
        for feature in (
            Feature.AUDIO,
            Feature.DOCUMENTS,
            Feature.TEXT_DOCUMENTS,
            Feature.DOCUMENT_LINKS,
            Feature.DOCUMENT_FILES,
            Feature.OWN_PARTS,
        )
    ),
    *OWN_SAMPLING,
    *BEYOND_OPENAI,
    dropped(Feature.LOGPROBS, "logprobs", "has them in another form"),
    dropped(Feature.TOP_LOGPROBS, "top_logprobs", "has them in another form"),
    dropped(Feature.REASONING, "reasoning", NO_FIELD),
    dropped(Feature.METADATA, "metadata", NO_FIELD),
    dropped(Feature.SERVICE_TIER, "service_tier", NO_FIELD),
    dropped(Feature.NAMES, "name", NO_FIELD),
    omitted(Feature.RAW_PROMPT, "every prompt is read so"),
    cache_marks(None),
    *others_fields(COMPLETIONS),
    no_word_for=(Feature.NO_OUTPUT,),
)

ANSWER_LOSSES = AnswerLosses(
    {
        AnswerFeature.REASONING: "the API has text only",
        AnswerFeature.SIGNATURES: "only who made them can read them",
        AnswerFeature.OWN_PARTS: "no form for them",
        AnswerFeature.REMARKS: "another form, which they don't fit",
        AnswerFeature.CALLS: "the API has text only",
        AnswerFeature.REFUSALS: "the API has text only",
        AnswerFeature.ORDER: "the API has text only",
        AnswerFeature.CONTEXT_FULL: "shown as cut off by its limit",
        AnswerFeature.PAUSED: "shown as at its end",
    },
    frozenset({AnswerFeature.REMARKS}),
)
