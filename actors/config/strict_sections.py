"""What all sections of the configuration share."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from forebay.actors.config.problems import broken
from forebay.actors.config.views import Rule, View


class StrictSettings(BaseModel):
    """Base of every section: no unknown keys, no changes, no values in pydantic's own errors."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=True,
        populate_by_name=True,
    )


SectionT = TypeVar("SectionT", bound=StrictSettings)


def in_agreement(section: SectionT, rule: Rule) -> SectionT:
    """``section``, if what ``rule`` ties together agrees."""
    faults = list(rule(View(section)))
    if faults:
        raise broken(*faults)
    return section
