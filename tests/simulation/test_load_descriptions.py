"""Load descriptions and traces: what they may say, and what is told of mistakes."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from simulated import settings_of

from forebay.actors.config import ConfigError, TrafficClass, parse_settings
from forebay.actors.simulation.reading import parse_load, read_load, read_settings
from forebay.actors.simulation.trace import read_trace
from forebay.actors.simulation.values import Size
from forebay.actors.simulation.what_if import WhatIf

SETTINGS = settings_of(
    clients={"alice": {"key": "a-1"}, "bob": {"key": "b-1", "models": ["up/else"]}},
)
GOOD = """\
duration: 1h30m
traffic:
  chat:
    clients: [alice]
    users: 3
    models: {fast: 3, up/else: 1}
    rate: 600/min
    input_tokens: {uniform: [10, 20]}
    output_tokens: {lognormal: {median: 100, p95: 500}}
  loop: {users: 2, models: fast, think_time: 250ms}
upstreams:
  up: {rpm: 400, latency: {first_byte_ms: 100}, changes: [{at: 1h, rpm: 200}]}
"""


def problems(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "load.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_load(path, SETTINGS, environ={})
    return str(caught.value).replace(str(path), "load.yaml").splitlines()


def test_a_description_is_read_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "load.yaml"
    path.write_text(GOOD, encoding="utf-8")
    load = read_load(path, SETTINGS, environ={})
    assert load.duration == 5400
    chat, loop = load.traffic.values()
    assert chat.rate == 10
    assert dict(chat.models) == {"fast": 3, "up/else": 1}
    assert loop.think_time == 0.25
    assert load.upstreams["up"].rpm == 400
    assert load.upstreams["up"].changes[0].at == 3600


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("rate: 600/min", "rate: fast", "load.yaml:7: traffic.chat.rate: is not a rate; write"),
        ("rate: 600/min", "rat: 1", "load.yaml:7: traffic.chat.rat: is not a setting; did you"),
        ("duration: 1h30m", "duration: soon", "load.yaml:1: duration: is not a time; write it"),
        ("    rate: 600/min\n", "", "traffic.chat: must have one of rate, phases and think_time"),
        ("[alice]", "[alise]", "the configuration has no client 'alise'; did you mean 'alice'?"),
        ("[alice]", "[bob]", "client 'bob' may not use model 'fast'"),
        ("{fast: 3,", "{fat: 3,", "the configuration has no model 'fat'; did you mean 'fast'?"),
        ("  up: {rpm", "  ap: {rpm", "upstreams.ap: the configuration has no provider 'ap'"),
        ("at: 1h, rpm: 200", "at: 1h, rpn: 2", "upstreams.up.changes[0].rpn: is not a setting"),
        ("[10, 20]", "[20, 10]", "input_tokens.uniform: must be the least and the most"),
        ("p95: 500", "p95: 50", "lognormal.p95: must not be less than the median"),
        ("{uniform: [10, 20]}", "{}", "input_tokens: must be a number or one of uniform"),
    ],
)
def test_mistakes_are_told_with_their_line_and_their_mend(
    before: str, after: str, told: str, tmp_path: Path
) -> None:
    assert before in GOOD
    (line,) = problems(tmp_path, GOOD.replace(before, after))
    assert line.startswith("load.yaml:")
    assert told in line


def test_models_go_by_all_of_their_names() -> None:
    settings = parse_settings(
        {
            "providers": {"up": {"kind": "openai_compatible", "base_url": "http://up.test/v1"}},
            "models": {"gpt-*": {"targets": ["up/gpt-*"]}},
            "aliases": {"fast": "gpt-5", "~c-(.*)": r"up/\1"},
            "clients": {"alice": {"key": "k", "models": ["gpt-*", "up/*"]}},
        }
    )
    traffic = {"clients": ["alice"], "models": {"fast": 1, "gpt-4": 1, "c-3": 1}, "rate": 1}
    assert parse_load({"traffic": {"a": traffic}}, settings, source="test").traffic
    traffic["models"] = {"c-3": 1, "other": 1}
    with pytest.raises(ConfigError, match="may not use model 'other'"):
        parse_load({"traffic": {"a": traffic}}, settings, source="test")


def test_a_description_of_nothing_is_refused(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, "duration: 1h\n")
    assert "has no traffic" in line


def test_keys_that_are_not_set_are_not_missed_but_anything_else_is(tmp_path: Path) -> None:
    path = tmp_path / "forebay.yaml"
    path.write_text("providers: {openai: {kind: openai, api_key: '${OPENAI_API_KEY}'}}\n")
    assert "openai" in read_settings(path, environ={}).providers
    path.write_text("server: {host: '${BIND_HOST}'}\n")
    with pytest.raises(ConfigError, match="BIND_HOST is not set"):
        read_settings(path, environ={})


def test_settings_are_changed_for_a_what_if(tmp_path: Path) -> None:
    path = tmp_path / "forebay.yaml"
    path.write_text(
        "providers:\n  up: {kind: openai_compatible, base_url: 'http://up.test/v1',\n"
        "       targets: {gpt-4.1: {limits: {rpm: 5}}}}\n"
        "models: {fast: {targets: [up/a]}}\n"
    )
    changes = (
        "providers.up.limits.tpm=400000",
        "providers.up.targets.gpt-4.1.limits.rpm=",
        "models.fast.targets=[up/b, up/c]",
    )
    settings = read_settings(path, changes, environ={})
    assert settings.providers["up"].limits.tpm == 400_000
    assert settings.providers["up"].targets["gpt-4.1"].limits.rpm is None
    assert settings.models["fast"].targets == ("up/b", "up/c")
    for wrong in ("providers.up.limits.tmp=1", "nonsense", "models.fast.targets.up=1"):
        with pytest.raises(ConfigError):
            read_settings(path, (wrong,), environ={})


def test_more_of_a_load_is_more_requests_or_more_users() -> None:
    traffic = {
        "rated": {"users": 4, "models": "fast", "rate": 8},
        "phased": {"users": 1, "models": "fast", "phases": [{"lasts": "1h", "rate": 2}]},
        "closed": {"users": 4, "models": "fast", "think_time": 1},
    }
    load = parse_load({"traffic": traffic}, SETTINGS, source="test")
    twice = WhatIf(scale=2).applied(load).traffic
    assert (twice["rated"].rate, twice["phased"].phases[0].rate, twice["closed"].users) == (
        16,
        4,
        8,
    )
    more = WhatIf(more_users=2).applied(load).traffic
    assert (more["rated"].users, more["rated"].rate, more["closed"].users) == (6, 12, 6)


@pytest.mark.parametrize(
    "size",
    [
        Size.model_validate({"uniform": [100, 300]}),
        Size.model_validate({"lognormal": {"median": 200, "p95": 900}}),
    ],
)
def test_sizes_are_drawn_as_described(size: Size) -> None:
    random = Random(5)
    drawn = sorted(size.draw(random) for _ in range(4000))
    assert drawn[2000] == pytest.approx(200, rel=0.08)
    assert drawn[3800] == pytest.approx(900 if size.lognormal else 290, rel=0.1)


TRACE = [
    ("2026-03-01T12:00:00Z", "alice", "fast", 10, 20),
    ("2026-03-01T12:00:05Z", "carol", "fast", 30, 40),
]


def test_traces_in_both_forms_say_the_same(tmp_path: Path) -> None:
    names = ("time", "client", "model", "input_tokens", "output_tokens")
    csv = tmp_path / "t.csv"
    csv.write_text(",".join(names) + "\n" + "".join(",".join(map(str, r)) + "\n" for r in TRACE))
    lines = tmp_path / "t.jsonl"
    lines.write_text(
        '{"time": 5.5, "client": "carol", "model": "fast", "input_tokens": 30,'
        ' "output_tokens": 40}\n\n'
        '{"time": 0.5, "client": "alice", "model": "fast", "input_tokens": 10,'
        ' "output_tokens": 20}\n'
    )
    assert read_trace(csv, SETTINGS) == read_trace(lines, SETTINGS)
    first, second = read_trace(csv, SETTINGS)
    assert (first.at, second.at) == (0, 5)
    assert (first.client, second.output_tokens, second.traffic_class) == ("alice", 40, None)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("0,alice,fast,10", "has no output_tokens"),
        ("noon,alice,fast,10,20", "time: must be seconds"),
        ("0,alice,slow,10,20", "model: the configuration has no model 'slow'"),
        ("0,alice,fast,many,20", "input_tokens: must be a number of tokens"),
    ],
)
def test_mistakes_in_traces_are_told_with_their_line(line: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"time,client,model,input_tokens,output_tokens\n{line}\n")
    with pytest.raises(ConfigError) as caught:
        read_trace(path, SETTINGS)
    assert "t.csv:2: " in str(caught.value)
    assert told in str(caught.value)


def test_users_have_the_class_of_their_traffic_and_clients_that_of_their_key() -> None:
    load = parse_load(
        {"traffic": {"night": {"users": 1, "models": "fast", "rate": 1, "class": "batch"}}},
        SETTINGS,
        source="test",
    )
    assert load.traffic["night"].traffic_class is TrafficClass.BATCH
