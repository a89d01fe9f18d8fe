"""What is lost alike by several of OpenAI's APIs."""

from __future__ import annotations

from forebay.protocol.canonical.features import Feature
from forebay.protocol.dialects.losses import Server, dropped, refused

NO_FIELD = "the API has no such field"
NOT_AT_OPENAI = "refuses what it does not know"
AS_IT_SEES_FIT = "they refuse it"
STORED_ONLY = "belongs to answers that OpenAI keeps"
OWN_TIERS = "it knows others"
STAND_IN = "a name that fits stands in, and the answer has the client's own"
ERROR_TEXT = "the text begins with `Error:`"
UNKNOWN_FILE = "no other provider knows the file"
OWN_REASONING = "reasoning means something to whom it came from"

BEYOND_OPENAI = (
    dropped(Feature.TOP_K, "top_k", NOT_AT_OPENAI, server=Server.OPENAI),
    dropped(Feature.MIN_P, "min_p", NOT_AT_OPENAI, server=Server.OPENAI),
    dropped(Feature.REPEAT_PENALTY, "repeat_penalty", NOT_AT_OPENAI, server=Server.OPENAI),
    refused(Feature.MANY_STOPS, "stop", "takes 4 at most", server=Server.OPENAI),
)
OWN_SAMPLING = tuple(
    dropped(feature, name, AS_IT_SEES_FIT, server=Server.OWN_SAMPLING, by_circumstance=True)
    for feature, name in (
        (Feature.TEMPERATURE, "temperature"),
        (Feature.TOP_P, "top_p"),
        (Feature.FREQUENCY_PENALTY, "frequency_penalty"),
        (Feature.PRESENCE_PENALTY, "presence_penalty"),
        (Feature.LOGIT_BIAS, "logit_bias"),
    )
)
