"""What holds for the streams of every API: how generated ones are put together, and how canonical
events follow each other."""

from __future__ import annotations

from hypothesis import strategies as st

from forebay.protocol.canonical.events import (
    ArgumentsDelta,
    Finish,
    PartKind,
    PartStart,
    PartStop,
    Start,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
)


def streams_of(
    going_on: st.SearchStrategy[bytes],
    ending: st.SearchStrategy[bytes],
    breaking: st.SearchStrategy[bytes],
    *,
    longest: int,
) -> st.SearchStrategy[bytes]:
    """Streams that end once, twice or never, and break anywhere.

    Args:
        longest: how many frames may come before the first end.
    """
    return st.builds(
        lambda *pieces: b"".join(piece for some in pieces for piece in some),
        st.lists(going_on, max_size=longest),
        st.lists(ending | breaking, max_size=1),
        st.lists(going_on, max_size=2),
        st.lists(ending, max_size=1),
        st.lists(breaking, max_size=1),
    )


def check_parts(events: list[StreamEvent]) -> None:
    """Parts begin with gapless indexes, and nothing is said of a part that is not open."""
    kinds: dict[int, PartKind] = {}
    begun = 0
    for at, event in enumerate(events):
        match event:
            case Start():
                assert at == 0
            case PartStart(index=index, kind=kind):
                assert index == begun
                begun += 1
                kinds[index] = kind
            case TextDelta(index=index, text=text):
                assert kinds[index] in (PartKind.TEXT, PartKind.REFUSAL)
                assert text
            case ThinkingDelta(index=index, text=text):
                assert kinds[index] is PartKind.THINKING
                assert text
            case ArgumentsDelta(index=index, json=json):
                assert kinds[index] is PartKind.TOOL_CALL
                assert json
            case PartStop(index=index):
                del kinds[index]
            case Finish():
                assert not kinds
            case _:
                pass
