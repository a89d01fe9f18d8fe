"""Anything may happen to pools, in any order: what must hold after every step, and in the end."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pool_plant import CLIENTS, PoolPlant
from pool_simulation import BATCH, INTERACTIVE

from forebay.actors.scheduling.flows import FlowKey, Priority, TrafficClass
from forebay.actors.scheduling.gates import Ending, Outcome

_TOKENS = st.floats(1, 400)
_BACK_TO_ITS_PLACE = (Ending.REFUSED, Ending.OVERLOADED, Ending.UNREACHABLE, Ending.FAILED)


class PoolMachine(RuleBasedStateMachine):
    @initialize(seed=st.integers(0, 10**6))
    def build(self, seed: int) -> None:
        self.plant = PoolPlant(seed)

    @precondition(lambda self: self.plant.lanes_left)
    @rule(
        data=st.data(), jobs=st.integers(1, 4), client=st.sampled_from(list(CLIENTS)),
        traffic_class=st.sampled_from([INTERACTIVE, BATCH]), tokens=_TOKENS,
        priority=st.sampled_from(Priority),
    )  # fmt: skip
    def jobs_come(
        self,
        data: st.DataObject,
        jobs: int,
        client: str,
        traffic_class: TrafficClass,
        priority: Priority,
        tokens: float,
    ) -> None:
        lane = data.draw(st.sampled_from(self.plant.lanes_left))
        for _ in range(jobs):
            self.plant.offer(lane, FlowKey(client, traffic_class, priority), tokens)

    @precondition(lambda self: self.plant.waiting)
    @rule(data=st.data())
    def a_waiting_client_leaves(self, data: st.DataObject) -> None:
        self.plant.cancel(data.draw(st.integers(0, len(self.plant.waiting) - 1)))

    @precondition(lambda self: self.plant.running)
    @rule(data=st.data())
    def an_answer_begins(self, data: st.DataObject) -> None:
        _, _, grant = data.draw(st.sampled_from(self.plant.running))
        grant.accepted(self.plant.loop.now)

    @precondition(lambda self: self.plant.running)
    @rule(data=st.data(), ending=st.sampled_from(Ending), tokens=st.none() | _TOKENS)
    def a_call_ends(self, data: st.DataObject, ending: Ending, tokens: float | None) -> None:
        number = data.draw(st.integers(0, len(self.plant.running) - 1))
        self.plant.finish(number, Outcome(ending=ending, tokens=tokens))

    @precondition(lambda self: self.plant.running)
    @rule(
        data=st.data(), ending=st.sampled_from(_BACK_TO_ITS_PLACE),
        retry_after=st.none() | st.floats(0, 20),
    )  # fmt: skip
    def a_call_is_refused(
        self, data: st.DataObject, ending: Ending, retry_after: float | None
    ) -> None:
        number = data.draw(st.integers(0, len(self.plant.running) - 1))
        outcome = Outcome(ending=ending, tokens=1.0, retry_after=retry_after)
        self.plant.put_back(number, outcome)

    @precondition(lambda self: self.plant.may_lose_a_target)
    @rule(data=st.data())
    def a_target_is_taken_out(self, data: st.DataObject) -> None:
        self.plant.take_out(data.draw(st.sampled_from(self.plant.targets)))

    @rule(seconds=st.floats(0.001, 30))
    def time_passes(self, seconds: float) -> None:
        self.plant.loop.run(self.plant.loop.now + seconds)

    @invariant()
    def it_holds(self) -> None:
        self.plant.settle()
        self.plant.check()

    def teardown(self) -> None:
        if hasattr(self, "plant"):
            self.plant.wind_down()


TestPools = PoolMachine.TestCase
TestPools.settings = settings(max_examples=80, stateful_step_count=50, deadline=None)


@pytest.mark.parametrize(
    "seeds", [range(start, start + 20) for start in range(0, 200, 20)], ids=str
)
def test_long_random_lives(seeds: range) -> None:
    """Longer than Hypothesis goes, with busier pools."""
    for seed in seeds:
        _live(seed, steps=80)


@pytest.mark.parametrize(
    "seeds", [range(start, start + 100) for start in range(10_000, 12_000, 100)], ids=str
)
def test_two_thousand_short_random_lives(seeds: range) -> None:
    """Some faults need a rare shape of pools, lanes and preferences more than a long life."""
    for seed in seeds:
        _live(seed, steps=25)


def _live(seed: int, *, steps: int) -> None:
    plant = PoolPlant(seed)
    random = Random(seed)
    for _ in range(steps):
        _step(plant, random)
        plant.settle()
        plant.check()
    plant.wind_down()


def _step(plant: PoolPlant, random: Random) -> None:
    dice = random.random()
    if dice < 0.3 and plant.lanes_left:
        lane = random.choice(plant.lanes_left)
        key = FlowKey(
            random.choice(list(CLIENTS)),
            random.choice(list(TrafficClass)),
            random.choice(list(Priority)),
        )
        tokens = random.uniform(1, 400)
        for _ in range(random.randint(1, 4)):
            plant.offer(lane, key, tokens)
    elif dice < 0.38 and plant.waiting:
        plant.cancel(random.randrange(len(plant.waiting)))
    elif dice < 0.48 and plant.running:
        random.choice(plant.running)[2].accepted(plant.loop.now)
    elif dice < 0.65 and plant.running:
        ending = random.choice(list(Ending))
        outcome = Outcome(ending=ending, tokens=random.choice([None, random.uniform(1, 400)]))
        plant.finish(random.randrange(len(plant.running)), outcome)
    elif dice < 0.8 and plant.running:
        outcome = Outcome(
            ending=random.choice(_BACK_TO_ITS_PLACE),
            tokens=1.0,
            retry_after=random.choice([None, random.uniform(0, 20)]),
        )
        plant.put_back(random.randrange(len(plant.running)), outcome)
    elif dice < 0.82 and plant.may_lose_a_target:
        plant.take_out(random.choice(plant.targets))
    else:
        plant.loop.run(plant.loop.now + random.choice([0.01, 0.1, 1, 5, 30]) * random.random())
