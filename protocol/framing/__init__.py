"""Incremental framing of streams: bytes in as they come, whole frames out.

Both framers are linear in the number of bytes and bounded: a frame longer than the limit is a
:class:`FrameTooLong`, never a growing buffer.
"""

from forebay.protocol.framing._limits import DEFAULT_FRAME_LIMIT, FrameTooLong
from forebay.protocol.framing._ndjson import LineFramer
from forebay.protocol.framing._sse import SseEvent, SseFramer

__all__ = ["DEFAULT_FRAME_LIMIT", "FrameTooLong", "LineFramer", "SseEvent", "SseFramer"]
