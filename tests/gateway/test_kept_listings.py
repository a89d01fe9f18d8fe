"""When providers are asked for their models, and what is gone by until they answer."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from random import Random

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock
from worlds import GATEWAY, World, open_world

from forebay.actors.providers.listing_memories import recall_listing, remember_listing
from forebay.actors.providers.listing_schedule import ListingSchedule
from forebay.actors.stores import LearnedState, SqliteLearnedStore, StoreUnavailable
from forebay.protocol.canonical.listed_models import Capability, ListedModel
from forebay.protocol.jsontext import InvalidJson

UP = {"kind": "openai_compatible", "base_url": "http://up.test/v1"}
HEAD = b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%b\r\n%b"


class Lister:
    """A server that lists models, or refuses, and notes when it was asked."""

    def __init__(self, *models: dict[str, object]) -> None:
        self.models = [*models]
        self.status = 200
        self.header = b""
        self.asked: list[float] = []

    async def serve(self, stream: trio.abc.Stream) -> None:
        while await stream.receive_some():
            self.asked.append(trio.current_time())
            body = json.dumps({"data": self.models, "error": {"message": "go away"}})
            if self.status == 200:
                body = json.dumps({"data": self.models})
            text = HEAD % (self.status, len(body), self.header, body.encode())
            await stream.send_all(text)

    @property
    def hosts(self) -> dict[str, Callable[[trio.abc.Stream], Awaitable[None]]]:
        return {"up.test": self.serve}


def config(**said: object) -> dict[str, object]:
    return {"providers": {"up": {**UP, **said}}}


async def names(world: World) -> list[str]:
    answer = await world.client.get(f"{GATEWAY}/v1/models")
    return [model["id"] for model in answer.json()["data"]]


async def test_a_listing_is_refreshed_as_often_as_is_configured(
    autojump_clock: MockClock,
) -> None:
    lister = Lister({"id": "m"})
    async with open_world(config(listing_refresh_ms=3_600_000), hosts=lister.hosts) as world:
        await trio.sleep(1)
        assert await names(world) == ["up/m"]
        lister.models.append({"id": "n"})
        await trio.sleep(3_000)
        assert len(lister.asked) == 1
        await trio.sleep(1_200)
        assert len(lister.asked) == 2
        assert await names(world) == ["up/m", "up/n"]


async def test_a_refused_listing_is_asked_for_again_when_the_provider_said_and_not_before(
    autojump_clock: MockClock,
) -> None:
    lister = Lister({"id": "m"})
    lister.status, lister.header = 429, b"retry-after: 500\r\n"
    async with open_world(config(), hosts=lister.hosts) as world:
        await trio.sleep(1)
        for _ in range(20):
            assert (await world.ask(model="nobodys")).status_code == 404
            await trio.sleep(20)
        assert len(lister.asked) == 1
        lister.status = 200
        await trio.sleep(150)
        assert len(lister.asked) == 2
        assert lister.asked[1] - lister.asked[0] >= 500
        assert await names(world) == ["up/m"]


async def test_the_last_good_listing_stays_while_no_other_can_be_had(
    autojump_clock: MockClock,
) -> None:
    lister = Lister({"id": "m"})
    async with open_world(config(listing_refresh_ms=60_000), hosts=lister.hosts) as world:
        await trio.sleep(1)
        lister.status = 500
        await trio.sleep(100)
        assert await names(world) == ["up/m"]
        listing = (await world.gateway.status()).providers[0].listing
        assert "status 500" in listing
        assert listing.endswith("1 models of before")


async def test_a_restart_knows_the_models_at_once(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    store = SqliteLearnedStore(tmp_path / "state.sqlite")
    lister = Lister({"id": "m", "context_length": 4096}, {"id": "n"})
    async with open_world(config(), hosts=lister.hosts, learned_store=store) as world:
        await trio.sleep(1)
        assert await names(world) == ["up/m", "up/n"]
    lister.status = 503
    async with open_world(config(), hosts=lister.hosts, learned_store=store) as world:
        assert await names(world) == ["up/m", "up/n"]
        assert world.gateway.providers["up"].facts_of("m").context_tokens == 4096
        await trio.sleep(30)
        assert await names(world) == ["up/m", "up/n"]


async def test_another_server_of_the_same_name_has_models_of_its_own(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    store = SqliteLearnedStore(tmp_path / "state.sqlite")
    lister = Lister({"id": "m"})
    async with open_world(config(), hosts=lister.hosts, learned_store=store):
        await trio.sleep(1)
    lister.status = 503
    elsewhere = config(base_url="http://up.test/v2")
    async with open_world(elsewhere, hosts=lister.hosts, learned_store=store) as world:
        assert await names(world) == []


async def test_a_file_of_before_listings_were_kept_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    with sqlite3.connect(path) as database:
        database.execute(
            "CREATE TABLE learned (provider TEXT PRIMARY KEY, saved_at REAL, state BLOB)"
        )
        database.execute("INSERT INTO learned VALUES ('up', 5.0, x'7b7d')")
        database.execute("PRAGMA user_version = 1")
    database.close()
    store = SqliteLearnedStore(path)
    assert await store.load_listings() == {}
    await store.save_listings({"up": LearnedState(b"[]", 6.0)})
    assert await store.load() == {"up": LearnedState(b"{}", 5.0)}
    assert await store.load_listings() == {"up": LearnedState(b"[]", 6.0)}


async def test_a_file_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 3")
    database.close()
    with pytest.raises(StoreUnavailable, match="format 3"):
        await SqliteLearnedStore(path).load_listings()


_MODELS = st.builds(
    ListedModel,
    st.text(min_size=1),
    st.none() | st.integers(1, 10**9),
    st.text(),
    max_output_tokens=st.none() | st.integers(1, 10**9),
    price_input=st.none() | st.floats(0, 1e6),
    price_output=st.none() | st.floats(0, 1e6),
    capabilities=st.frozensets(st.sampled_from(Capability)),
    lacks=st.frozensets(st.sampled_from(Capability)),
    deprecated=st.booleans(),
    retires=st.none() | st.dates(),
)


@given(st.lists(_MODELS))
def test_what_is_kept_of_a_listing_is_all_of_it(models: list[ListedModel]) -> None:
    kept = remember_listing("here", models)
    assert [*recall_listing("here", kept)] == models
    assert recall_listing("there", kept) == ()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b'{"server":"s"}',
        b'{"server":"s","models":5}',
        b'{"server":"s","models":[5]}',
        b'{"server":"s","models":[{}]}',
        b'{"server":"s","models":[{"id":"m","retires":"soon"}]}',
        b'{"server":"s","models":[{"id":"m","context_tokens":"x"}]}',
    ],
)
def test_what_is_no_kept_listing_is_no_listing(text: bytes) -> None:
    with pytest.raises((InvalidJson, KeyError, TypeError, ValueError)):
        recall_listing("s", text)


def test_words_of_another_version_are_left_out() -> None:
    text = b'{"server":"s","models":[{"id":"m","capabilities":["tools","telepathy"]}]}'
    assert recall_listing("s", text) == (
        ListedModel("m", capabilities=frozenset({Capability.TOOLS})),
    )


def test_pauses_after_failures_double_up_to_the_usual_one_and_are_spread() -> None:
    schedule = ListingSchedule(Random(1))
    pauses = [schedule.after_failure(600, None).longest for _ in range(6)]
    for pause, middle in zip(pauses, (60, 120, 240, 480, 600, 600), strict=True):
        assert 0.9 * middle <= pause < middle
    schedule.after_answer(600)
    assert schedule.after_failure(600, None).longest < 70
    told = schedule.after_failure(600, 5_000.0)
    assert told.shortest == 5_000
    assert told.longest >= 5_000
    assert schedule.after_failure(600, 1e9).shortest == 86_400


async def test_a_model_in_use_that_goes_is_told_of_once(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    going: dict[str, object] = {"id": "old", "expiration_date": "2027-02-01"}
    lister = Lister(going, {"id": "unused", "expiration_date": "2027-02-01"}, {"id": "m"})
    settings = {**config(listing_refresh_ms=60_000), "models": {"fast": {"targets": ["up/old"]}}}
    with caplog.at_level(logging.WARNING, logger="forebay.provider"):
        async with open_world(settings, hosts=lister.hosts) as world:
            for _ in range(3):
                await world.ask(model="fast", headers={"x-forebay-max-wait-ms": "0"})
                await trio.sleep(100)
            facts = world.gateway.providers["up"].facts_of("old")
            assert (facts.deprecated, facts.retires) == (True, date(2027, 2, 1))
    told = [record.getMessage() for record in caplog.records if "deprecated" in record.getMessage()]
    assert told == ["provider up: model old is deprecated and goes on 2027-02-01"]
