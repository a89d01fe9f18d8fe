"""What the Messages API can't say."""

from __future__ import annotations

from forebay.protocol.canonical.answer_features import AnswerFeature
from forebay.protocol.canonical.features import Feature
from forebay.protocol.dialects.anthropic._names import ANTHROPIC, ANTHROPIC_MESSAGES
from forebay.protocol.dialects.losses import (
    AnswerLosses,
    Losses,
    Server,
    approximated,
    dropped,
    omitted,
    refused,
)
from forebay.protocol.dialects.shared_losses import (
    CONVERSATION_ONLY,
    STATE,
    cache_marks,
    others_fields,
)

_NO_FIELD = "the API has no such field"
_WITH_THINKING = "the API refuses it together with reasoning"
_AS_IT_SEES_FIT = "they refuse it"

LOSSES = Losses(
    ANTHROPIC_MESSAGES,
    ANTHROPIC,
    *STATE,
    *CONVERSATION_ONLY,
    refused(Feature.CHOICES, "n", "gives one answer a request"),
    refused(Feature.LOGPROBS, "logprobs", "can't report them"),
    refused(Feature.TOP_LOGPROBS, "top_logprobs", "can't report them"),
    refused(Feature.AUDIO, "messages", "takes no audio"),
    refused(Feature.UNCOMMON_IMAGES, "messages", "takes no others"),
    refused(
        Feature.PLAIN_IMAGE_LINKS,
        "messages",
        "fetches from https only; the gateway gets the image first, if it may",
    ),
    refused(Feature.PLAIN_DOCUMENT_LINKS, "messages", "fetches from https only"),
    refused(
        Feature.IMAGE_FILES, "messages", "no other provider knows the file", kept_from=(ANTHROPIC,)
    ),
    refused(
        Feature.DOCUMENT_FILES,
        "messages",
        "no other provider knows the file",
        kept_from=(ANTHROPIC,),
    ),
    refused(Feature.OWN_PARTS, "messages", "has no form for it", kept_from=(ANTHROPIC,)),
    refused(Feature.SERVER_TOOLS, "tools", "runs other tools itself", kept_from=(ANTHROPIC,)),
    dropped(
        Feature.TEMPERATURE,
        "temperature",
        _AS_IT_SEES_FIT,
        server=Server.OWN_SAMPLING,
        kept_from=(ANTHROPIC,),
        by_circumstance=True,
    ),
    dropped(
        Feature.TOP_P,
        "top_p",
        _AS_IT_SEES_FIT,
        server=Server.OWN_SAMPLING,
        kept_from=(ANTHROPIC,),
        by_circumstance=True,
    ),
    dropped(
        Feature.TOP_K,
        "top_k",
        _AS_IT_SEES_FIT,
        server=Server.OWN_SAMPLING,
        kept_from=(ANTHROPIC,),
        by_circumstance=True,
    ),
    dropped(
        Feature.TEMPERATURE_WITH_THINKING,
        "temperature",
        _WITH_THINKING,
        server=Server.THINKING,
        by_circumstance=True,
    ),
    dropped(
        Feature.TOP_P_WITH_TEMPERATURE,
        "top_p",
        "newer models refuse both together",
        kept_from=(ANTHROPIC,),
        by_circumstance=True,
    ),
    dropped(
        Feature.TOP_P_WITH_THINKING,
        "top_p",
        _WITH_THINKING,
        server=Server.THINKING,
        by_circumstance=True,
    ),
    dropped(
        Feature.TOP_K_WITH_THINKING,
        "top_k",
        _WITH_THINKING,
        server=Server.THINKING,
        by_circumstance=True,
    ),
    approximated(Feature.HIGH_TEMPERATURE, "1, which is as high as it goes"),
    dropped(Feature.MIN_P, "min_p", _NO_FIELD),
    dropped(Feature.SEED, "seed", _NO_FIELD),
    dropped(Feature.FREQUENCY_PENALTY, "frequency_penalty", _NO_FIELD),
    dropped(Feature.PRESENCE_PENALTY, "presence_penalty", _NO_FIELD),
    dropped(Feature.REPEAT_PENALTY, "repeat_penalty", _NO_FIELD),
    dropped(Feature.LOGIT_BIAS, "logit_bias", _NO_FIELD),
    dropped(Feature.BLANK_STOP, "stop", "the API refuses it"),
    approximated(Feature.NO_LIMIT, "the API wants a limit: 8192 tokens, more with a budget"),
    approximated(Feature.JSON_OUTPUT, "asked for in the system prompt"),
    approximated(
        Feature.JSON_SCHEMA,
        "every object is closed (`additionalProperties: false`), as the API wants it",
        kept_from=(ANTHROPIC,),
    ),
    omitted(Feature.SCHEMA_STRICT, "schemas are always held to"),
    omitted(Feature.SCHEMA_NAME, "schemas have none"),
    dropped(
        Feature.REASONING,
        "reasoning",
        "they refuse it",
        server=Server.WITHOUT_THINKING,
        kept_from=(ANTHROPIC,),
        by_circumstance=True,
    ),
    approximated(Feature.UNCOMMON_EFFORT, "`minimal` is said as `low`"),
    dropped(
        Feature.FORCED_TOOLS_WITH_THINKING,
        "tool_choice",
        _WITH_THINKING,
        server=Server.THINKING,
        by_circumstance=True,
    ),
    approximated(
        Feature.FREE_TOOL_NAMES,
        "a name that fits stands in, and the answer has the client's own",
        kept_from=(ANTHROPIC,),
    ),
    dropped(Feature.METADATA, "metadata", "the API keeps the user's id only"),
    dropped(
        Feature.SERVICE_TIER,
        "service_tier",
        "it knows others",
        kept_from=(ANTHROPIC,),
        by_circumstance=True,
    ),
    approximated(
        Feature.PERSONAL_USER_ID,
        "the API refuses it: a hash of it",
        kept_from=(ANTHROPIC,),
    ),
    dropped(Feature.NAMES, "name", _NO_FIELD),
    approximated(
        Feature.LATER_INSTRUCTIONS, "said in its place by the user, between `<system>` marks"
    ),
    approximated(Feature.DEVELOPER, "`system`"),
    omitted(
        Feature.PAST_REASONING,
        "the API takes only what it has signed itself",
        kept_from=(ANTHROPIC,),
    ),
    approximated(Feature.PAST_REFUSALS, "said as text"),
    dropped(Feature.IMAGE_DETAIL, "detail", _NO_FIELD),
    cache_marks(ANTHROPIC),
    *others_fields(ANTHROPIC),
)

ANSWER_LOSSES = AnswerLosses(
    {
        AnswerFeature.OWN_PARTS: "no form for them",
        AnswerFeature.REMARKS: "another form, which they don't fit",
        AnswerFeature.REFUSALS: "shown as text",
    },
    frozenset({AnswerFeature.REMARKS, AnswerFeature.OWN_PARTS}),
)
