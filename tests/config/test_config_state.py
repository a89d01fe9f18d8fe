"""What is kept between requests: how much, and for how long."""

from __future__ import annotations

import pytest

from forebay.actors.config import ConfigError, Settings, StateSettings, parse_settings
from forebay.actors.config.loading import settings_from_yaml
from forebay.actors.stores import StoreLimits

DAY_MS = 24 * 3600 * 1000


def settings(text: str) -> Settings:
    return settings_from_yaml(text.encode(), source="forebay.yaml", environ={"DAYS": "604800000"})


def test_what_is_configured_bounds_the_store() -> None:
    said = settings("state: {max_responses: 5, max_bytes: 1000, keep_ms: 90000}")
    assert StoreLimits.of(said.state) == StoreLimits(responses=5, bytes=1000, seconds=90.0)
    assert settings('state: {keep_ms: "${DAYS}"}').state.keep_ms == 7 * DAY_MS
    assert parse_settings({"state": {"max_responses": 7}}).state.max_responses == 7


@pytest.mark.parametrize("text", ["", "state:", "state: {}"])
def test_left_out_it_is_as_openai_has_it(text: str) -> None:
    said = settings(text).state
    assert said == StateSettings()
    assert (said.keep_ms, said.max_responses) == (30 * DAY_MS, 100_000)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("keep_ms: 0", "state.keep_ms: must be greater than 0 (you wrote 0)"),
        (
            f"keep_ms: {367 * DAY_MS}",
            f"state.keep_ms: must be at most 31622400000 (you wrote {367 * DAY_MS})",
        ),
        ("max_responses: many", "state.max_responses: must be a whole number (you wrote many)"),
        ("max_bytes: -1", "state.max_bytes: must be greater than 0 (you wrote -1)"),
        ("max_response: 5", "state.max_response: is not a setting"),
        ("max_response: 5", "did you mean 'max_responses'?"),
        ("days: 5", "max_responses, max_bytes, keep_ms"),
    ],
)
def test_what_is_wrong_is_named_with_its_mend(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(f"state: {{{text}}}")
    assert told in str(caught.value)
