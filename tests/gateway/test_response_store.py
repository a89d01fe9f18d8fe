"""The store of answers: what it keeps, for whom, and what it forgets."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from forebay.actors.config import StateSettings
from forebay.actors.stores import (
    MemoryResponseStore,
    RemoteResponse,
    StoredItem,
    StoredResponse,
    StoreLimits,
)

DAY = 86_400.0


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def limits(**changed: int) -> StoreLimits:
    """As configured where nothing is, but for what is ``changed``."""
    usual = StoreLimits.of(StateSettings())
    return replace(usual, **changed)


def item(item_id: str, size: int = 10) -> StoredItem:
    text = f'{{"id":"{item_id}","text":"'.encode()
    return StoredItem(item_id, text + b"x" * size + b'"}')


def response(
    response_id: str, *inputs: StoredItem, output: tuple[StoredItem, ...] = (), size: int = 10
) -> StoredResponse:
    return StoredResponse(id=response_id, body=b"b" * size, input_items=inputs, output_items=output)


async def test_an_answer_is_kept_for_its_owner_alone() -> None:
    store = MemoryResponseStore(limits(), clock=Clock())
    one = response("resp_1", item("msg_1"), output=(item("msg_2"),))
    await store.put("alice", one)
    assert await store.get("alice", "resp_1") == one
    assert await store.get("bob", "resp_1") is None
    assert await store.find_items("bob", ["msg_1", "msg_2"]) == {}
    assert not await store.delete("bob", "resp_1")
    await store.put("bob", response("resp_1", size=99))
    assert await store.get("alice", "resp_1") == one
    assert await store.delete("alice", "resp_1")
    assert await store.get("alice", "resp_1") is None
    assert not await store.delete("alice", "resp_1")
    assert await store.get("bob", "resp_1") is not None


async def test_items_are_found_by_id_as_long_as_an_answer_has_them() -> None:
    store = MemoryResponseStore(limits(), clock=Clock())
    first, second = item("msg_1"), item("msg_2")
    await store.put("a", response("resp_1", first))
    await store.put("a", response("resp_2", first, second))
    assert await store.find_items("a", ["msg_1", "msg_2", "msg_3"]) == {
        "msg_1": first,
        "msg_2": second,
    }
    await store.delete("a", "resp_1")
    assert await store.find_items("a", ["msg_1"]) == {"msg_1": first}
    await store.delete("a", "resp_2")
    assert await store.find_items("a", ["msg_1", "msg_2"]) == {}
    assert store.size == 0


async def test_of_items_with_one_id_the_latest_is_found() -> None:
    store = MemoryResponseStore(limits(), clock=Clock())
    early, late = item("msg_1", 1), item("msg_1", 2)
    await store.put("a", response("resp_1", early))
    await store.put("a", response("resp_2", late))
    assert await store.find_items("a", ["msg_1"]) == {"msg_1": late}
    await store.delete("a", "resp_2")
    assert await store.find_items("a", ["msg_1"]) == {"msg_1": early}


async def test_answers_are_forgotten_after_thirty_days() -> None:
    clock = Clock()
    store = MemoryResponseStore(limits(), clock=clock)
    await store.put("a", response("resp_1", item("msg_1")))
    clock.now = 20 * DAY
    await store.put("b", response("resp_2"))
    clock.now = 30 * DAY - 1
    assert await store.get("a", "resp_1") is not None
    clock.now = 30 * DAY
    assert await store.get("a", "resp_1") is None
    assert await store.find_items("a", ["msg_1"]) == {}
    assert not await store.delete("a", "resp_1")
    assert len(store) == 1
    clock.now = 50 * DAY
    assert not await store.delete("a", "resp_1")
    assert (len(store), store.size) == (0, 0)


async def test_an_answer_that_is_kept_again_is_young_again() -> None:
    clock = Clock()
    store = MemoryResponseStore(limits(responses=2), clock=clock)
    for response_id in ("resp_1", "resp_2", "resp_1", "resp_3"):
        await store.put("a", response(response_id, item(response_id)))
    assert await store.get("a", "resp_2") is None
    assert await store.get("a", "resp_1") is not None
    assert len(store) == 2


async def test_whoever_has_most_answers_loses_the_oldest() -> None:
    store = MemoryResponseStore(limits(responses=4), clock=Clock())
    await store.put("quiet", response("resp_0"))
    for at in range(10):
        await store.put("noisy", response(f"resp_{at}"))
    assert await store.get("quiet", "resp_0") is not None
    kept = [at for at in range(10) if await store.get("noisy", f"resp_{at}")]
    assert kept == [7, 8, 9]


async def test_whoever_holds_most_bytes_loses_the_oldest() -> None:
    store = MemoryResponseStore(limits(bytes=100_000), clock=Clock())
    for at in range(20):
        await store.put("small", response(f"resp_{at}", item(f"msg_{at}", 100)))
    for at in range(10):
        await store.put("large", response(f"resp_{at}", item(f"msg_{at}", 20_000)))
        assert store.size <= 100_000
    assert all([await store.get("small", f"resp_{at}") for at in range(20)])
    assert await store.get("large", "resp_0") is None
    assert await store.get("large", "resp_9") is not None


async def test_what_is_larger_than_the_store_is_not_kept() -> None:
    store = MemoryResponseStore(limits(bytes=10_000), clock=Clock())
    await store.put("a", response("resp_1", size=20_000))
    assert (len(store), store.size) == (0, 0)


async def test_what_a_conversation_repeats_is_held_once() -> None:
    store = MemoryResponseStore(limits(), clock=Clock())
    said: tuple[StoredItem, ...] = ()
    for turn in range(100):
        said += (item(f"msg_{turn}", 10_000),)
        await store.put("a", response(f"resp_{turn}", *map(_copied, said)))
    assert store.size < 100 * 12_000
    for turn in range(99):
        await store.delete("a", f"resp_{turn}")
    last = await store.get("a", "resp_99")
    assert isinstance(last, StoredResponse)
    assert last.input_items == said


async def test_of_what_a_provider_keeps_only_its_whereabouts_are_held() -> None:
    clock = Clock()
    store = MemoryResponseStore(limits(responses=3, seconds=10), clock=clock)
    remote = RemoteResponse(id="resp_1", provider="up", model_id="m")
    await store.put("a", remote)
    assert await store.get("a", "resp_1") == remote
    assert await store.get("b", "resp_1") is None
    assert await store.find_items("a", ["resp_1"]) == {}
    assert 0 < store.size < 1000
    await store.put("a", response("resp_1", item("msg_1")))
    assert isinstance(await store.get("a", "resp_1"), StoredResponse)
    await store.put("a", remote)
    assert await store.find_items("a", ["msg_1"]) == {}
    for at in range(3):
        await store.put("a", response(f"resp_{at + 2}"))
    assert await store.get("a", "resp_1") is None
    await store.put("a", remote)
    clock.now = 10
    assert not await store.delete("a", "resp_1")
    assert (len(store), store.size) == (0, 0)


def _copied(stored: StoredItem) -> StoredItem:
    return StoredItem(stored.id, bytes(bytearray(stored.text)))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "c"]),
            st.integers(0, 5),
            st.lists(st.integers(0, 5), max_size=4),
            st.integers(0, 3000),
            st.booleans(),
        ),
        max_size=60,
    )
)
def test_no_order_of_events_breaks_a_bound_or_leaves_anything_behind(
    steps: list[tuple[str, int, list[int], int, bool]],
) -> None:
    import trio

    async def play() -> None:
        clock = Clock()
        bounds = limits(responses=5, bytes=9000, seconds=10)
        store = MemoryResponseStore(bounds, clock=clock)
        for owner, number, items, size, deletes in steps:
            clock.now += 1
            if deletes:
                await store.delete(owner, f"resp_{number}")
            else:
                inputs = [item(f"msg_{at}", size) for at in items]
                await store.put(owner, response(f"resp_{number}", *inputs, size=size))
            assert len(store) <= bounds.responses
            assert store.size <= bounds.bytes
        clock.now += 10
        await store.get("a", "resp_0")
        assert (len(store), store.size) == (0, 0)
        assert await store.find_items("a", [f"msg_{at}" for at in range(6)]) == {}

    trio.run(play)
