"""Models that are used although their provider takes them away: said once each."""

from __future__ import annotations

import logging
from datetime import date
from typing import Final

from forebay.protocol.canonical.model_facts import ModelFacts

_log = logging.getLogger("forebay.provider")

_MOST_SAID: Final = 1024


class Departures:
    """Of one provider."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._said: dict[str, date | None] = {}

    def note(self, model_id: str, facts: ModelFacts) -> None:
        """A model is used, of which so much is known."""
        if not facts.deprecated or self._said.get(model_id, date.min) == facts.retires:
            return
        if len(self._said) >= _MOST_SAID:
            self._said.clear()
        self._said[model_id] = facts.retires
        when = "" if facts.retires is None else f" and goes on {facts.retires.isoformat()}"
        _log.warning("provider %s: model %s is deprecated%s", self._provider, model_id, when)
