"""Reading files: what they mean once they are settings."""

from pathlib import Path

import pytest

from forebay.actors.config import (
    ConfigError,
    Hold,
    Settings,
    Strategy,
    TrafficClass,
    UnknownModel,
    load_settings,
    parse_settings,
    split_target,
    with_address,
)
from forebay.actors.config.loading import settings_from_yaml

FULL = """
server: {host: 127.0.0.1, port: 4290, max_sessions: 10000, max_body_bytes: 33554432,
  waiting_bytes: 1073741824}
wait: {max_wait_ms: 120000, hold: auto, keepalive_after_ms: 15000, keepalive_every_ms: 10000}
providers:
  openai: {kind: openai, api_key: "${OPENAI_API_KEY}",
    limits: {rpm: 500, tpm: 200000, concurrency: 64}}
  vllm: {kind: openai_compatible, base_url: "http://127.0.0.1:8000/v1", limits: {concurrency: 8}}
  local: {kind: ollama, hosts: ["http://127.0.0.1:11434"], limits: {concurrency: 2}}
models:
  fast: {targets: [openai/gpt-5-mini, local/llama3.2], strategy: ordered}
defaults: {openai: fast, anthropic: fast, ollama: fast, unknown_model: reject}
clients:
  alice: {key: "${ALICE_KEY}", weight: 2, class: interactive}
"""
ENVIRON = {"OPENAI_API_KEY": "sk-openai", "ALICE_KEY": "key-of-alice"}


def read(text: str, **environ: str) -> Settings:
    return settings_from_yaml(text.encode(), source="forebay.yaml", environ=environ)


def test_a_whole_file_reads_as_written(tmp_path: Path) -> None:
    file = tmp_path / "forebay.yaml"
    file.write_text(FULL)
    settings = load_settings(file, environ=ENVIRON)
    assert settings.server.port == 4290
    assert settings.wait.hold is Hold.AUTO
    assert list(settings.providers) == ["openai", "vllm", "local"]
    openai = settings.providers["openai"]
    assert openai.api_key is not None
    assert openai.api_key.get_secret_value() == "sk-openai"
    assert (openai.limits.rpm, openai.limits.tpm, openai.limits.rps) == (500.0, 200_000, None)
    assert settings.providers["local"].hosts == ("http://127.0.0.1:11434",)
    assert settings.models["fast"].targets == ("openai/gpt-5-mini", "local/llama3.2")
    assert settings.models["fast"].strategy is Strategy.ORDERED
    assert settings.defaults.unknown_model is UnknownModel.REJECT
    assert settings.clients["alice"].weight == 2
    assert settings.clients["alice"].traffic_class is TrafficClass.INTERACTIVE


def test_the_process_environment_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOREBAY_TEST_PORT", "4321")
    file = tmp_path / "forebay.yaml"
    file.write_text("server: {port: '${FOREBAY_TEST_PORT}'}")
    assert load_settings(str(file)).server.port == 4321


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "---\n", "server:\nwait:\nproviders:\nclients:"]
)
def test_a_file_that_says_nothing_means_all_defaults(text: str) -> None:
    assert read(text) == Settings()


def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_the_file() -> None:
    raw = b"\xef\xbb\xbfserver:\r\n  port: 1\r\n"
    assert settings_from_yaml(raw, source="f", environ={}).server.port == 1


def test_what_yaml_1_1_calls_booleans_octals_and_times_stays_text() -> None:
    settings = read(
        "clients: {on: {key: 0123}, no: {key: 12:30}, null: {key: yes}, y: {key: 1e3},"
        " 7: {key: ~a}}"
    )
    assert {name: client.key.get_secret_value() for name, client in settings.clients.items()} == {
        "on": "0123",
        "no": "12:30",
        "null": "yes",
        "y": "1e3",
        "7": "~a",
    }


def test_a_number_may_be_quoted_and_rates_may_be_fractions() -> None:
    settings = read(
        "server: {port: '80'}\nproviders: {o: {kind: ollama, limits: {rpm: 0.5, rps: '1.25'}}}"
    )
    assert settings.server.port == 80
    assert settings.providers["o"].limits.rpm == 0.5
    assert settings.providers["o"].limits.rps == 1.25


def test_an_alias_stands_for_its_anchor() -> None:
    settings = read(
        "providers:\n  a: {kind: ollama, limits: &two {concurrency: 2}}\n"
        "  b: {kind: ollama, limits: *two}\n"
    )
    assert settings.providers["b"].limits.concurrency == 2


def test_urls_lose_their_trailing_slash() -> None:
    settings = read("providers: {v: {kind: openai_compatible, base_url: 'https://[::1]:8/v1/'}}")
    assert settings.providers["v"].base_url == "https://[::1]:8/v1"


def test_header_names_are_lowered_and_their_values_secret() -> None:
    settings = read("providers: {o: {kind: ollama, headers: {X-Team: 'a b'}}}")
    headers = settings.providers["o"].headers
    assert {name: value.get_secret_value() for name, value in headers.items()} == {"x-team": "a b"}
    assert "a b" not in repr(settings)


def test_a_credential_among_the_headers_replaces_the_key() -> None:
    settings = read("providers: {o: {kind: openai, headers: {Authorization: Token abc}}}")
    assert settings.providers["o"].api_key is None


def test_a_target_may_hold_slashes_and_colons_after_its_provider() -> None:
    settings = read(
        "providers: {o: {kind: ollama}}\nmodels: {'m/x:y': {targets: ['o/hf.co/a/b:q4']}}"
    )
    (target,) = settings.models["m/x:y"].targets
    assert split_target(target) == ("o", "hf.co/a/b:q4")


def test_defaults_and_allow_lists_may_name_a_target_directly() -> None:
    settings = read(
        "providers: {o: {kind: ollama}}\ndefaults: {ollama: o/llama3.2}\n"
        "clients: {a: {key: k, models: [o/llama3.2]}}"
    )
    assert settings.defaults.ollama == "o/llama3.2"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.8.9.1", "::1"])
def test_loopback_needs_no_clients(host: str) -> None:
    assert read(f"server: {{host: '{host}'}}").server.host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "gateway.example"])
def test_other_hosts_need_clients(host: str) -> None:
    assert read(f"server: {{host: '{host}'}}\nclients: {{a: {{key: k}}}}").server.host == host
    with pytest.raises(ConfigError, match=r"add clients, or listen at 127\.0\.0\.1"):
        read(f"server: {{host: '{host}'}}")


def test_a_command_line_can_move_the_gateway_but_not_open_it() -> None:
    settings = with_address(Settings(), port=1)
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 1)
    with pytest.raises(ConfigError, match=r"command line: server\.host: lets others in"):
        with_address(settings, host="0.0.0.0")
    open_settings = read("clients: {a: {key: k}}\nwait: {max_wait_ms: 1}")
    moved = with_address(open_settings, host="0.0.0.0")
    assert moved.server.host == "0.0.0.0"
    assert moved.clients["a"].key == open_settings.clients["a"].key
    assert moved.wait == open_settings.wait


def test_settings_can_not_be_changed_in_place() -> None:
    settings = read("providers: {o: {kind: ollama}}")
    with pytest.raises(ValueError, match="frozen"):
        settings.server.port = 1
    with pytest.raises(TypeError):
        settings.providers["p"] = settings.providers["o"]  # type: ignore[index]


def test_embedders_give_the_same_shape_without_substitution() -> None:
    settings = parse_settings(
        {
            "server": {"port": 0},
            "providers": {"a": {"kind": "openai", "api_key": "${NOT_FILLED_IN}"}},
            "clients": {"c": {"key": "k", "class": "batch"}},
        }
    )
    key = settings.providers["a"].api_key
    assert key is not None
    assert key.get_secret_value() == "${NOT_FILLED_IN}"
    assert settings.clients["c"].traffic_class is TrafficClass.BATCH


def test_what_settings_dump_reads_back_as_the_same_settings() -> None:
    settings = read(FULL, **ENVIRON)
    assert parse_settings(settings.model_dump()) == settings
    assert parse_settings(settings.model_dump(by_alias=True)) == settings


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${PORT}", 81),
        ("${EMPTY:-82}", 82),
        ("${UNSET:-83}", 83),
        ("8${DIGIT}", 84),
        ("${UNSET:-8}${DIGIT}", 84),
        ("${PORT:-85}", 81),
    ],
)
def test_references_are_filled_in_before_the_value_is_read(text: str, value: int) -> None:
    settings = read(f"server: {{port: '{text}'}}", PORT="81", EMPTY="", DIGIT="4")
    assert settings.server.port == value


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("$$", "$"),
        ("a$b", "a$b"),
        ("$$${K}$$", "$k$"),
        ("$${K}", "${K}"),
        ("${U:-$$x$}", "$x$"),
        ("${U:-a:-b}", "a:-b"),
        ("$NAME", "$NAME"),
        ("${NESTED}", "${K}"),
    ],
)
def test_dollar_signs_that_refer_to_nothing_stay(text: str, key: str) -> None:
    settings = read(f"clients: {{a: {{key: '{text}'}}}}", K="k", NESTED="${K}")
    assert settings.clients["a"].key.get_secret_value() == key


@pytest.mark.parametrize(
    ("model", "client", "requested", "expected"),
    [
        (None, None, None, 100),
        ("slow", None, None, 50),
        ("plain", None, None, 100),
        ("o/direct", None, None, 100),
        ("slow", "patient", None, 500),
        ("slow", "other", None, 50),
        ("slow", "patient", 400, 400),
        ("slow", "patient", 600, 500),
        (None, "never", 400, 0),
        (None, "patient", 0, 0),
        ("slow", None, 70, 50),
    ],
)
def test_max_wait_comes_from_client_model_server_and_a_request_only_lowers_it(
    model: str | None, client: str | None, requested: int | None, expected: int
) -> None:
    settings = read(
        "wait: {max_wait_ms: 100}\nproviders: {o: {kind: ollama}}\n"
        "models: {slow: {targets: [o/a], max_wait_ms: 50}, plain: {targets: [o/a]}}\n"
        "clients: {patient: {key: a, max_wait_ms: 500}, never: {key: b, max_wait_ms: 0},"
        " other: {key: c}}"
    )
    assert settings.max_wait_ms_for(model=model, client=client, requested_ms=requested) == expected
