"""What a refusal tells of the limit that was met reaches whoever learns limits."""

from __future__ import annotations

import pytest

from forebay.actors.providers.told_limits import refused_by
from forebay.actors.scheduling.gates import RefusedBy, Unit
from forebay.protocol.providers.limits.hints import HintKind, LimitHint
from forebay.protocol.providers.limits.readings import Quantity


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (None, None),
        (LimitHint(kind=HintKind.CONCURRENCY), RefusedBy()),
        (LimitHint(kind=HintKind.CONCURRENCY, limit=4), RefusedBy(limit=4)),
        (
            LimitHint(kind=HintKind.RATE, quantity=Quantity.TOKENS, limit=30_000, window=60),
            RefusedBy(unit=Unit.TOKENS, limit=500),
        ),
        (
            LimitHint(kind=HintKind.RATE, quantity=Quantity.INPUT_TOKENS),
            RefusedBy(unit=Unit.INPUT_TOKENS),
        ),
        (LimitHint(kind=HintKind.RATE), None),
        (LimitHint(kind=HintKind.RAMP, quantity=Quantity.REQUESTS), None),
        (LimitHint(kind=HintKind.SPENT_UNTIL, quantity=Quantity.REQUESTS), None),
    ],
)
def test_what_is_learned_from_a_refusals_words(
    hint: LimitHint | None, expected: RefusedBy | None
) -> None:
    assert refused_by(hint) == expected
