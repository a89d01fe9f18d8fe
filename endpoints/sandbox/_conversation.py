"""What the messages of a request add up to, in whichever dialect they are written."""

from __future__ import annotations

from dataclasses import dataclass, field

from forebay.endpoints.sandbox._call import Image
from forebay.endpoints.sandbox._options import SandboxModel


@dataclass(slots=True)
class Conversation:
    """Added to by messages in the order in which they come."""

    model: SandboxModel
    size: int = 0
    """Bytes of text."""
    image_count: int = 0
    system: list[str] = field(default_factory=list)
    user_text: str = ""
    """Of the last message of the user's."""
    images: list[Image] = field(default_factory=list)
    """Of that message."""
    results: list[str] = field(default_factory=list)
    """Of the tools that the last turn called."""
