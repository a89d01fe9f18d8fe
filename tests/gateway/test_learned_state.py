"""What was learned of providers survives a restart, and a broken file is no trouble."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from trio.testing import MockClock
from worlds import World, one_provider, open_world

from forebay.actors.stores import (
    LearnedState,
    LearnedStore,
    SqliteLearnedStore,
    StoreUnavailable,
)
from forebay.endpoints.sandbox import LimitHeaders, SandboxOptions

NOW = {"x-forebay-max-wait-ms": "0"}


async def served(world: World, requests: int) -> int:
    """How many of so many requests that don't wait are served."""
    answers = [await world.ask(headers=NOW) for _ in range(requests)]
    assert {answer.status_code for answer in answers} <= {200, 429}
    return sum(answer.status_code == 200 for answer in answers)


@pytest.fixture
def store(tmp_path: Path) -> SqliteLearnedStore:
    return SqliteLearnedStore(tmp_path / "state.sqlite")


async def test_a_days_budget_that_was_spent_is_spent_after_a_restart(
    autojump_clock: MockClock, store: SqliteLearnedStore
) -> None:
    config = one_provider(limits={"rpd": 10})
    async with open_world(config, learned_store=store) as world:
        assert await served(world, 7) == 7
    async with open_world(config, learned_store=store) as world:
        assert await served(world, 7) == 3


async def test_the_budget_of_one_model_is_kept_too(
    autojump_clock: MockClock, store: SqliteLearnedStore
) -> None:
    config = one_provider(targets={"sandbox-chat": {"limits": {"rpd": 5}}})
    for left in (5, 0):
        async with open_world(config, learned_store=store) as world:
            assert await served(world, 6) == left


async def test_what_the_provider_told_is_known_after_a_restart(
    autojump_clock: MockClock, store: SqliteLearnedStore
) -> None:
    config = one_provider(kind="openai", base_url="http://up.test/v1", api_key="key")
    sandboxes = {
        "up": SandboxOptions(
            requests_per_minute=60, burst=5, latency_ms=0, limit_headers=LimitHeaders.OPENAI
        )
    }
    async with open_world(config, sandboxes=sandboxes, learned_store=store) as world:
        assert await served(world, 6) == 5
        assert world.sandbox.statistics().received == 5
    async with open_world(config, sandboxes=sandboxes, learned_store=store) as world:
        # The new sandbox would take five more at once; the gateway knows of none.
        assert await served(world, 6) <= 1


async def test_without_a_store_nothing_is_known(autojump_clock: MockClock) -> None:
    config = one_provider(limits={"rpd": 10})
    for _ in range(2):
        async with open_world(config) as world:
            assert await served(world, 7) == 7


async def test_another_server_of_the_same_name_begins_anew(
    autojump_clock: MockClock, store: SqliteLearnedStore
) -> None:
    for path in ("/v1", "/v1/"):
        async with open_world(
            one_provider(limits={"rpd": 5}, base_url=f"http://up.test{path}"), learned_store=store
        ) as world:
            await served(world, 5)
    async with open_world(
        one_provider(limits={"rpd": 5}, base_url="http://up.test:80/v1"), learned_store=store
    ) as world:
        assert await served(world, 5) == 5


class ListedStore(LearnedStore):
    """Gives what it was made with and notes what is saved."""

    def __init__(self, text: bytes, saved_at: float = 0.0) -> None:
        self._state = LearnedState(text, saved_at)
        self.saved: list[LearnedState] = []

    async def load(self) -> dict[str, LearnedState]:
        return {"up": self._state}

    async def save(self, states: object) -> None:
        assert isinstance(states, dict)
        self.saved.extend(states.values())


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"not JSON",
        b"{}",
        b'{"server": "x", "learned": 5}',
        b'{"server": 5}',
    ],
)
async def test_what_can_not_be_read_is_left_out(autojump_clock: MockClock, text: bytes) -> None:
    async with open_world(learned_store=ListedStore(text, saved_at=4e9)) as world:
        assert await served(world, 3) == 3


@pytest.mark.parametrize("wrong", [None, [], "x", 5, {"missing": "many"}, {"missing": 1e999}, {}])
async def test_wrong_numbers_are_left_out(
    autojump_clock: MockClock, store: SqliteLearnedStore, wrong: object, tmp_path: Path
) -> None:
    config = one_provider(limits={"rpm": 600})
    async with open_world(config, learned_store=store) as world:
        await served(world, 1)
    [(text,)] = sqlite3.connect(tmp_path / "state.sqlite").execute("SELECT state FROM learned")
    state = json.loads(text)
    gates = state["learned"]["gates"]
    assert gates
    for name in gates:
        gates[name] = wrong
    await store.save({"up": LearnedState(json.dumps(state).encode(), 4e9)})
    async with open_world(config, learned_store=store) as world:
        answer = await world.ask()
        assert answer.status_code in (200, 429)


async def test_a_file_that_is_no_database_is_told_once_and_left_alone(
    autojump_clock: MockClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "state.sqlite"
    path.write_text("these are somebody's notes, not a database, and long enough to be a file\n")
    async with open_world(learned_store=SqliteLearnedStore(path)) as world:
        assert await served(world, 3) == 3
    warnings = [record.message for record in caplog.records if "state.path" in record.message]
    assert len(warnings) == 1
    assert "not a database" in warnings[0]
    assert path.read_text().startswith("these are somebody's notes")


async def test_the_file_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StoreUnavailable, match="another version"):
        await SqliteLearnedStore(path).load()


async def test_no_prompts_answers_or_keys_are_in_the_file(
    autojump_clock: MockClock, store: SqliteLearnedStore, tmp_path: Path
) -> None:
    config = one_provider(api_key="sk-very-secret-key")
    async with open_world(config, learned_store=store) as world:
        answer = await world.ask("the secret of the mill")
        said = answer.json()["choices"][0]["message"]["content"]
    content = (tmp_path / "state.sqlite").read_bytes()
    assert b"sandbox-chat" in content
    for secret in (b"sk-very-secret-key", b"the secret of the mill", said.encode()):
        assert secret not in content
