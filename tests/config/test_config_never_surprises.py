"""Property tests: any text gives settings or a ConfigError, and secrets stay secret."""

from collections.abc import Callable, Iterator

import pydantic
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from forebay.actors.config import (
    ClientSettings,
    ConfigError,
    ProviderSettings,
    Settings,
    parse_settings,
    settings_from_environment,
)
from forebay.actors.config.loading import settings_from_yaml
from forebay.protocol.providers import PROFILES

SECRET = "hunter2-S3CR3T"

KEYS = [
    *Settings.model_fields,
    *(name for name in ProviderSettings.model_fields),
    *(name for name in ClientSettings.model_fields),
    *("class", "rpm", "rps", "tpm", "concurrency", "burst", "connect_ms", "host", "port"),
    *("max_body_bytes", "waiting_bytes", "targets", "strategy", "hold", "max_wait_ms"),
    *("openai", "anthropic", "ollama", "unknown_model", "alice", "Authorization"),
]
SCALARS = [
    *PROFILES,
    *("auto", "ordered", "default", "0.0.0.0", "localhost", "openai/gpt", "alice", "fast"),
    *("http://127.0.0.1:4290", "https://a/v1?key=b", "-5", "0.5", "1e400", "nan", "true", ""),
    *("${KEY}", "${NUMBER}", "${MISSING}", "${MISSING:-x}", "${", "$$", "9" * 5000),
]

scalars = st.sampled_from(SCALARS) | st.text(max_size=8) | st.integers() | st.floats() | st.none()
trees: st.SearchStrategy[object] = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=25,
)
fragments = st.lists(
    st.sampled_from(
        [
            *KEYS,
            *SCALARS,
            *(":", ",", "[", "]", "{", "}", "-", "?", "|", ">", "&", "*", "!", "%", "@", "`"),
            *("'", '"', "#", "\\", "<<", "---", "...", "\n", "\n  ", " ", ": ", "\t", "\r"),
            *("&a ", "*a", "!!str ", "!<x> ", "\\U", "\x85", "\ud800"),
        ]
    ),
    max_size=40,
).map("".join)

ENVIRON = {"KEY": SECRET, "NUMBER": "5"}


def outcome_of(make: Callable[[], Settings]) -> Settings | ConfigError:
    try:
        return make()
    except ConfigError as error:
        return error


def read(raw: bytes) -> Settings | ConfigError:
    return outcome_of(lambda: settings_from_yaml(raw, source="f", environ=ENVIRON))


@given(st.text() | fragments)
@example('a: "\\ud800"')
@example("%YAML " + "9" * 5000 + ".1\n---\n")
@example("? |\n")
@example("a: !!str &a *a")
def test_any_text_gives_settings_or_a_config_error(text: str) -> None:
    outcome = read(text.encode("utf-8", "surrogatepass"))
    for problem in outcome.problems if isinstance(outcome, ConfigError) else ():
        assert problem.message
        assert "\n" not in f"{problem.path}{problem.message}{problem.fix}"


@given(st.binary())
def test_any_bytes_give_settings_or_a_config_error(raw: bytes) -> None:
    assert isinstance(read(raw), Settings | ConfigError)


@given(trees)
def test_any_tree_gives_settings_or_a_config_error_from_a_file_and_from_a_program(
    tree: object,
) -> None:
    outcome = read(yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass"))
    assert SECRET not in f"{outcome} {outcome!r}"
    if isinstance(tree, dict):
        outcome = outcome_of(lambda: parse_settings(tree))
        if isinstance(outcome, ConfigError):
            assert len(str(outcome).split("\n")) == len(outcome.problems) > 0
        else:
            assert parse_settings(outcome.model_dump()) == outcome


@given(
    st.dictionaries(
        st.sampled_from(
            [
                *("OPENAI_API_KEY", "OPENAI_BASE_URL"),
                *("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"),
                "OLLAMA_HOST",
            ]
        ),
        st.text(alphabet="ab:/.[]0123456789@?# \n\ud800é\"'", max_size=20)
        | st.builds("http://{}".format, st.text(max_size=9)),
    ),
    st.booleans(),
)
def test_any_environment_gives_settings_or_a_config_error(
    environ: dict[str, str], local_ollama: bool
) -> None:
    outcome = outcome_of(lambda: settings_from_environment(environ, local_ollama=local_ollama))
    if isinstance(outcome, ConfigError):
        assert {problem.path for problem in outcome.problems} <= set(environ)
    else:
        assert set(outcome.providers) <= {"openai", "anthropic", "ollama"}


WHOLE = {
    "server": {"host": "127.0.0.1", "port": "4290", "waiting_bytes": "33554432"},
    "wait": {"hold": "auto", "max_wait_ms": "5"},
    "providers": {
        "o": {
            "kind": "openai",
            "api_key": "k",
            "base_url": "http://a/v1",
            "headers": {"x-a": "b"},
            "limits": {"rpm": "1", "tpm": "1"},
            "timeouts": {"connect_ms": "1"},
        },
        "l": {"kind": "ollama", "hosts": ["http://b", "http://c"]},
    },
    "models": {"m": {"targets": ["o/x", "l/y"], "strategy": "ordered", "hold": "silent"}},
    "defaults": {"openai": "m", "unknown_model": "default"},
    "clients": {
        "a": {"key": "one", "class": "batch", "weight": "1", "models": ["m"]},
        "b": {"key": "two"},
    },
}


def places(tree: object, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Of every value, mappings and lists included."""
    yield at
    match tree:
        case dict():
            for key, value in tree.items():
                yield from places(value, (*at, key))
        case list():
            for index, value in enumerate(tree):
                yield from places(value, (*at, index))


def planted(tree: object, at: tuple[str | int, ...], value: object) -> object:
    """The tree with another value at one place."""
    if not at:
        return value
    match tree:
        case dict():
            return {k: planted(v, at[1:], value) if k == at[0] else v for k, v in tree.items()}
        case list():
            return [planted(v, at[1:], value) if i == at[0] else v for i, v in enumerate(tree)]
    raise AssertionError(at)


@pytest.mark.parametrize("at", list(places(WHOLE)), ids=str)
@pytest.mark.parametrize(
    "value",
    ["{}", "{}\n", " {}", "-{}", "http://{}@a", "http://a?{}", "o/{}", "{}/x", "5{}"],
)
def test_what_comes_from_the_environment_is_never_shown(
    at: tuple[str | int, ...], value: str
) -> None:
    """Planted at every place in turn, whether it fits there or not."""
    text = yaml.safe_dump(planted(WHOLE, at, value.format("${KEY}")))
    outcome = read(text.encode())
    if isinstance(outcome, ConfigError):
        assert SECRET not in f"{outcome} {outcome!r} {outcome.problems!r}"
        assert outcome.__context__ is None
    elif "key" in str(at[-1]) or "headers" in at:
        assert SECRET not in f"{outcome} {outcome!r} {outcome.model_dump()!r}"
        assert SECRET not in outcome.model_dump_json()


SECRET_PLACES = [at for at in places(WHOLE) if at[-1:] in (("api_key",), ("key",), ("x-a",))]


@pytest.mark.parametrize("at", SECRET_PLACES, ids=str)
@pytest.mark.parametrize(
    "written",
    [
        *("KEY", "KEY x", "éKEY", "*KEY", "!KEY x", "!KEY!x", "@KEY", "%KEY", "`KEY", "&KEY x"),
        *(
            "[KEY]",
            "{a: KEY}",
            "KEY: x",
            "'KEY",
            "'KEY'KEY",
            '"\\qKEY"',
            "${KEY",
            "${KEY!}",
            "$KEY",
        ),
        *("|\n KEY\n  KEY\n x", "KEY\n  KEY: KEY\n KEY", "{KEY", "KEY, KEY", "KEY\x00", "\tKEY"),
    ],
)
def test_a_key_in_the_file_is_never_shown_however_broken_it_stands_there(
    at: tuple[str | int, ...], written: str
) -> None:
    text = yaml.safe_dump(planted(WHOLE, at, "PLACE"), width=10_000)
    outcome = read(text.replace("PLACE", written.replace("KEY", SECRET)).encode())
    assert SECRET not in f"{outcome} {outcome!r}"


def test_pydantics_own_errors_show_no_values_either() -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        Settings.model_validate(
            {"providers": {"o": {"kind": "openai", "api_key": SECRET + " ", "x": SECRET}}}
        )
    assert SECRET not in str(caught.value)
