"""What all APIs lose in the same way: what the server is to know already, and texts to be gone on
with where a server can only be asked in a conversation.

The refusals themselves are in :mod:`forebay.protocol.canonical.state` and
:mod:`forebay.protocol.canonical.completions`.
"""

from __future__ import annotations

from forebay.protocol.canonical.features import Feature
from forebay.protocol.canonical.requests import Dialect
from forebay.protocol.dialects.losses import Loss, approximated, dropped, refused

_KEPT = "the gateway keeps answers itself; what it does not know, no other provider does"
_ALONE = "no other provider knows it"
ONE_TOKEN = "a limit of 1; the client is not shown what comes of it"
_SPLIT = "one at a time; `/v1/completions` asks once for each"

STATE: tuple[Loss, ...] = (
    refused(Feature.PREVIOUS_RESPONSE, "previous_response_id", _KEPT),
    refused(Feature.ITEM_IDS, "input", _KEPT),
    refused(Feature.CONVERSATION_ID, "conversation", _ALONE),
    refused(Feature.PROMPT_ID, "prompt", _ALONE),
    refused(Feature.BACKGROUND, "background", "answers at once only, unless the gateway keeps it"),
)
"""Of every API that keeps nothing."""

BEYOND_ONE_TEXT: tuple[Loss, ...] = (
    refused(Feature.SEVERAL_PROMPTS, "prompt", _SPLIT),
    refused(Feature.SEVERAL_COMPLETIONS, "n", _SPLIT),
    refused(Feature.TOKEN_PROMPT, "prompt", "reads text only"),
    refused(Feature.ECHO, "echo", "tells nothing but what comes after a prompt"),
    refused(Feature.BEST_OF, "best_of", "makes only as many answers as are asked for"),
    refused(Feature.PROMPT_LOGPROBS, "logprobs", "has them in another form, if at all"),
)
"""Of every API that goes on with one text."""

OWN_SURROUNDINGS: tuple[Loss, ...] = (
    refused(
        Feature.TEMPLATE, "template", "decides itself what stands around a prompt; `drop` or not"
    ),
    refused(Feature.CONTEXT, "context", "would not know what was said before; `drop` or not"),
)
"""Of every API but Ollama's ``/api/generate``. Another prompt would be answered than the one that
was meant, and nobody could tell: so they are never just left out."""

CONVERSATION_ONLY: tuple[Loss, ...] = (
    *BEYOND_ONE_TEXT,
    approximated(Feature.PROMPT, "asked as what a user says"),
    refused(Feature.SUFFIX, "suffix", "can't fill in"),
    refused(Feature.RAW_PROMPT, "raw", "knows prompts in the model's own template only"),
    *OWN_SURROUNDINGS,
)
"""Of every API for conversations."""


def others_fields(own: Dialect) -> tuple[Loss, ...]:
    """Raw fields that came in other APIs than the one with this key in ``extras``."""
    return (
        dropped(
            Feature.OWN_FIELDS,
            "",
            "each by its own name",
            kept_from=(own,),
            by_circumstance=True,
        ),
    )


def cache_marks(own: Dialect | None) -> Loss:
    """Marks on parts and tools for the prompt's cache."""
    kept = () if own is None else (own,)
    return dropped(
        Feature.CACHE_MARKS,
        "cache_control",
        "caches by itself, or not at all",
        kept_from=kept,
    )
