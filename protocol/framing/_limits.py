"""What every framer is bounded by."""

DEFAULT_FRAME_LIMIT = 16 * 1024 * 1024
"""Bytes. Larger than any event that a provider sends (inline images reach a few megabytes)."""


class FrameTooLong(ValueError):
    """One frame exceeds the framer's limit; the stream can't be read on."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"a frame of the stream is longer than {limit} bytes")
