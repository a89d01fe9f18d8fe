"""What matters to a count of tokens: the prompt, and not what shapes the answer.

An API that counts takes the requests of an API that answers, and can say of the prompt what that
one can.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from forebay.protocol.canonical.features import Feature
from forebay.protocol.canonical.requests import ChatRequest, Sampling
from forebay.protocol.dialects.base import Api
from forebay.protocol.dialects.losses import Losses

OF_ANSWERS: Final = frozenset(
    {
        Feature.TEMPERATURE,
        Feature.HIGH_TEMPERATURE,
        Feature.TEMPERATURE_WITH_THINKING,
        Feature.TOP_P,
        Feature.TOP_P_WITH_TEMPERATURE,
        Feature.TOP_P_WITH_THINKING,
        Feature.TOP_K,
        Feature.TOP_K_WITH_THINKING,
        Feature.MIN_P,
        Feature.SEED,
        Feature.FREQUENCY_PENALTY,
        Feature.PRESENCE_PENALTY,
        Feature.REPEAT_PENALTY,
        Feature.LOGIT_BIAS,
        Feature.LOGPROBS,
        Feature.TOP_LOGPROBS,
        Feature.STOP,
        Feature.BLANK_STOP,
        Feature.MANY_STOPS,
        Feature.CHOICES,
        Feature.NO_LIMIT,
        Feature.SMALL_LIMIT,
        Feature.NO_OUTPUT,
        Feature.METADATA,
        Feature.SERVICE_TIER,
        Feature.USER_ID,
        Feature.LONG_USER_ID,
        Feature.PERSONAL_USER_ID,
        Feature.BACKGROUND,
    }
)
"""What says nothing about a prompt."""


def losses_of_counts(api: Api, answering: Losses) -> Losses:
    """Of the API that counts what the one with the losses ``answering`` is asked."""
    return Losses(
        api,
        answering.own,
        *(loss for loss in answering if loss.feature not in OF_ANSWERS),
        no_word_for=(*answering.no_word_for, *OF_ANSWERS),
    )


def prompt_of(request: ChatRequest) -> ChatRequest:
    """``request`` without what says nothing about its prompt, but for raw fields."""
    state = request.state
    return replace(
        request,
        max_output_tokens=None,
        sampling=Sampling(),
        stop=(),
        choices=1,
        user_id=None,
        metadata=None,
        service_tier=None,
        stream=False,
        stream_usage=False,
        state=None if state is None else replace(state, background=False, store=False),
    )
