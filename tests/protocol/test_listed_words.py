"""What lists of models say of what is known of them."""

from __future__ import annotations

from datetime import date

import anthropic.types
import pytest

from forebay.protocol.canonical.listed_models import Capability
from forebay.protocol.canonical.model_facts import ModelFacts, any_of
from forebay.protocol.dialects.base import ModelCard
from forebay.protocol.dialects.listed_capabilities import capability_words
from forebay.protocol.dialects.registry import SPEECH
from forebay.protocol.jsontext import JsonObject, dumps

CHAT, COMPLETION, TOOLS = Capability.CHAT, Capability.COMPLETION, Capability.TOOLS
THINKING, AUDIO = Capability.THINKING, Capability.AUDIO


@pytest.mark.parametrize(
    ("able", "unable", "words"),
    [
        ((), (), ("completion", "tools")),
        ((CHAT,), (TOOLS,), ("completion",)),
        ((CHAT, Capability.VISION), (), ("completion", "tools", "vision")),
        (
            (CHAT, Capability.THINKING, Capability.AUDIO),
            (TOOLS,),
            ("completion", "audio", "thinking"),
        ),
        ((Capability.EMBEDDING,), (), ("embedding",)),
        ((Capability.EMBEDDING, CHAT), (), ("completion", "tools", "embedding")),
        ((), (CHAT, COMPLETION), ()),
        ((COMPLETION,), (CHAT,), ("completion", "tools")),
    ],
)
def test_the_words_of_ollamas_lists(
    able: tuple[Capability, ...], unable: tuple[Capability, ...], words: tuple[str, ...]
) -> None:
    facts = ModelFacts(capabilities=frozenset(able), lacks=frozenset(unable))
    assert capability_words(facts) == words


GOING = ModelCard(
    id="old",
    created=7,
    owned_by="up",
    context_length=4096,
    max_output_tokens=512,
    deprecated=True,
    retires=date(2027, 2, 1),
)


def test_each_dialect_tells_of_a_model_that_goes_as_far_as_it_has_words() -> None:
    by_anthropic = SPEECH_OF["anthropic"]
    parsed = anthropic.types.ModelInfo.model_validate_json(dumps(by_anthropic))
    assert (parsed.lifecycle, parsed.max_input_tokens, parsed.max_tokens) == (
        "deprecated",
        4096,
        512,
    )
    assert parsed.retires_at is not None
    assert parsed.retires_at.date() == date(2027, 2, 1)
    assert SPEECH_OF["openai"]["shutdown_date"] == "2027-02-01"


SPEECH_OF: dict[str, JsonObject] = {
    str(dialect): speech.encode_model(GOING) for dialect, speech in SPEECH.items()
}


def test_what_can_be_counted_on_where_several_may_serve() -> None:
    one = ModelFacts(
        capabilities=frozenset({TOOLS, CHAT}),
        lacks=frozenset({Capability.VISION, Capability.AUDIO}),
        context_tokens=4096,
        price_input=1.0,
        is_local=True,
        deprecated=True,
        retires=date(2027, 1, 1),
    )
    other = ModelFacts(
        capabilities=frozenset({Capability.VISION}),
        lacks=frozenset({Capability.AUDIO, TOOLS}),
        context_tokens=8192,
        max_output_tokens=512,
        price_input=2.0,
    )
    assert any_of([one, other]) == ModelFacts(
        capabilities=frozenset({TOOLS, CHAT, Capability.VISION}),
        lacks=frozenset({Capability.AUDIO}),
        context_tokens=4096,
        max_output_tokens=512,
        price_input=2.0,
    )
    assert any_of([one]) == one
    assert any_of([]) == ModelFacts()
