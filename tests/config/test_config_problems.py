"""What is wrong is said with its line, its setting and its mend."""

from pathlib import Path

import pytest

from forebay.actors.config import ConfigError, Problem, load_settings, parse_settings
from forebay.actors.config.document import MAX_DEPTH, MAX_VALUES
from forebay.actors.config.loading import settings_from_yaml
from forebay.protocol.providers import PROFILES


def problems(text: str, **environ: str) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        settings_from_yaml(text.encode(), source="f", environ=environ)
    assert caught.value.__context__ is None, "the context would hold the values"
    return caught.value.problems


def lines(text: str, **environ: str) -> list[str]:
    return str(ConfigError(problems(text, **environ), source="f")).split("\n")


def test_a_problem_names_the_file_the_line_the_setting_and_the_value() -> None:
    text = "providers:\n  o:\n    kind: ollama\n    limits:\n      rpm:   -5\n"
    (problem,) = problems(text)
    assert problem == Problem(
        path="providers.o.limits.rpm",
        line=5,
        column=14,
        message="must be greater than 0 (you wrote -5)",
    )
    assert lines(text) == ["f:5: providers.o.limits.rpm: must be greater than 0 (you wrote -5)"]


def test_all_problems_are_told_at_once_in_the_order_of_the_file() -> None:
    text = "wait: {hold: x}\nserver:\n  port: 70000\n  prot: 1\nmodels: {m: {}}\n"
    assert [(p.line, p.path) for p in problems(text)] == [
        (1, "wait.hold"),
        (3, "server.port"),
        (4, "server.prot"),
        (5, "models.m.targets"),
    ]


def test_what_sections_disagree_about_is_told_beside_what_is_wrong_in_them() -> None:
    text = """
server:
  prot: 1
  host: 0.0.0.0
  max_body_bytes: 5
  waiting_bytes: 4
providers:
  up:
    kind: ollama
    limit: {}
    hosts: [http://0.0.0.0:4290, http://a, http://a/]
    base_url: http://a
  key:
    kind: openai
    limits: {rpm: x}
models:
  fast:
    targets: [upp/one, up/two, up/two, /bad, key/three]
    strategy: best
defaults:
  openai: fats
  anthropic: fast
  unknown: reject
"""
    assert lines(text) == [
        "f:3: server.prot: is not a setting; did you mean 'port'?",
        "f:4: server.host: lets others in without a key (you wrote 0.0.0.0); add clients, or"
        " listen at 127.0.0.1",
        "f:6: server.waiting_bytes: must be at least max_body_bytes, or the largest request never"
        " fits (you wrote 4)",
        "f:10: providers.up.limit: is not a setting; did you mean 'limits'?",
        "f:11: providers.up.hosts: and base_url exclude each other; keep one",
        "f:11: providers.up.hosts: names a host twice",
        "f:11: providers.up.hosts[0]: is the address of this gateway itself; give the provider's"
        " own address, or another server.port",
        "f:13: providers.key.api_key: is required for providers of kind openai; write it as in"
        ' api_key: "${NAME}", with the key in the environment',
        "f:15: providers.key.limits.rpm: must be a number (you wrote x)",
        "f:18: models.fast.targets[0]: names a provider that is not configured (you wrote upp/one);"
        " did you mean 'up'?",
        "f:18: models.fast.targets[2]: appears twice among the targets (you wrote up/two)",
        "f:18: models.fast.targets[3]: must be written provider/model-id, as in openai/gpt-5-mini"
        " (you wrote /bad)",
        "f:19: models.fast.strategy: must be one of ordered, balanced, cheapest, fastest, weighted"
        " (you wrote best)",
        "f:21: defaults.openai: names no model, and no provider/model-id of a configured provider"
        " (you wrote fats); did you mean 'fast'?",
        "f:23: defaults.unknown: is not a setting; did you mean 'unknown_model'?",
    ]


def test_clients_are_compared_whatever_else_is_wrong_with_them() -> None:
    text = """
clients:
  a: {key: k, weight: 0}
  b: {key: k, models: [ghost]}
  c: {key: ""}
"""
    assert [(problem.line, problem.path) for problem in problems(text)] == [
        (3, "clients.a.weight"),
        (4, "clients.b.key"),
        (4, "clients.b.models[0]"),
        (5, "clients.c.key"),
    ]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        # Without knowing the port, nobody can say whose address that is.
        (
            "server: {port: x}\nproviders: {p: {kind: ollama, hosts: ['http://localhost:4290']}}",
            "server.port",
        ),
        (
            "server: {host: 'a:b'}\nproviders: {p: {kind: ollama, hosts: ['http://a:4290']}}",
            "server.host",
        ),
        # Somebody may have written a key there.
        ("server: {host: 0.0.0.0}\nclients: [k]", "clients"),
        ("server: {host: 0.0.0.0}\nclients: {a: {}}", "clients.a.key"),
        # What is there is there, right or wrong.
        ("providers: {p: {kind: olama}}\nmodels: {m: {targets: [p/x]}}", "providers.p.kind"),
        ("providers: [p]\nmodels: {m: {targets: [p/x]}}\ndefaults: {openai: p/x}", "providers"),
        ("models: {m: {}}\ndefaults: {openai: m, unknown_model: default}", "models.m.targets"),
        ("models: [m]\ndefaults: {openai: m}", "models"),
        ("defaults: {openai: ' ', unknown_model: default}", "defaults.openai"),
        ("providers: {p: {kind: openai_compatible, base_url: x}}", "providers.p.base_url"),
        ("providers: {p: {kind: ollama, hosts: [x, x]}}", "providers.p.hosts[0]"),
        ("providers: {p: {kind: openai, api_key: ''}}", "providers.p.api_key"),
        (
            "providers: {p: {kind: openai, headers: {X-Api-Key: ''}}}",
            "providers.p.headers.X-Api-Key",
        ),
        ("server: {max_body_bytes: x, waiting_bytes: 1}", "server.max_body_bytes"),
    ],
)
def test_a_rule_says_nothing_about_what_is_not_known(text: str, path: str) -> None:
    assert problems(text)[0].path == path
    assert {problem.message for problem in problems(text)} == {problems(text)[0].message}


def test_the_defaults_count_where_nothing_is_written() -> None:
    text = (
        "server: {prot: 1, waiting_bytes: 1000}\n"
        "providers: {p: {kind: ollama, base_url: 'http://127.0.0.1:4290'}}"
    )
    assert [problem.path for problem in problems(text)] == [
        "server.prot",
        "server.waiting_bytes",
        "providers.p.base_url",
    ]


@pytest.mark.parametrize(
    ("text", "path", "fix"),
    [
        ("server: {prot: 1}", "server.prot", "did you mean 'port'?"),
        ("severs: {}", "severs", "did you mean 'server'?"),
        ("wait: {Max-Wait-Ms: 1}", "wait.Max-Wait-Ms", "did you mean 'max_wait_ms'?"),
        (
            "providers: {o: {kind: ollama, limit: {}}}",
            "providers.o.limit",
            "did you mean 'limits'?",
        ),
        (
            "providers: {o: {kind: ollama, rpm: 5}}",
            "providers.o.rpm",
            "did you mean 'limits.rpm'?",
        ),
        ("clients: {a: {key: k, clas: batch}}", "clients.a.clas", "did you mean 'class'?"),
        (
            "providers: {o: {kind: ollama, limits: {zzz: 5}}}",
            "providers.o.limits.zzz",
            "the settings here are: rps, rpm, rpd, tpm, tpd, itpm, otpm, itpd, otpd, concurrency,"
            " burst, token_burst, minute_shape, day_shape, windows",
        ),
        ('"a b\\n": 1', r"'a b\n'", None),
    ],
)
def test_an_unknown_setting_suggests_the_nearest(text: str, path: str, fix: str | None) -> None:
    (problem,) = problems(text)
    assert (problem.path, problem.message) == (path, "is not a setting")
    assert problem.line == 1
    if fix is not None:
        assert problem.fix == fix


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("server: {port: 4.5}", "f:1: server.port: must be a whole number (you wrote 4.5)"),
        ("server: {port: -1}", "f:1: server.port: must be at least 0 (you wrote -1)"),
        ("server: {port: 65536}", "f:1: server.port: must be at most 65535 (you wrote 65536)"),
        ("server: {port: yes}", "f:1: server.port: must be a whole number (you wrote yes)"),
        ("server: {port: }", "f:1: server.port: must be a whole number (it is empty)"),
        ("server: [1]", "f:1: server: must be a mapping of settings (name: value)"),
        ("server: {port: [1]}", "f:1: server.port: must be a whole number"),
        ("wait: {max_wait_ms: -1}", "f:1: wait.max_wait_ms: must be at least 0 (you wrote -1)"),
        (
            "wait: {max_wait_ms: 604800001}",
            "f:1: wait.max_wait_ms: must be at most 604800000 (you wrote 604800001)",
        ),
        (
            "wait: {keepalive_every_ms: 0}",
            "f:1: wait.keepalive_every_ms: must be greater than 0 (you wrote 0)",
        ),
        (
            "server: {waiting_bytes: 1, max_body_bytes: 2}",
            "f:1: server.waiting_bytes: must be at least max_body_bytes, or the largest request"
            " never fits (you wrote 1)",
        ),
        (
            "server: {host: '127.0.0.1:80'}",
            "f:1: server.host: must be an IP address or a host name, without a port (you wrote"
            " 127.0.0.1:80); write it as in 127.0.0.1, ::1 or 0.0.0.0",
        ),
        (
            "wait: {hold: keepalives}",
            "f:1: wait.hold: must be one of auto, silent, keepalive (you wrote keepalives);"
            " did you mean 'keepalive'?",
        ),
        (
            "clients: {a: {key: k, weight: nan}}",
            "f:1: clients.a.weight: must be a number (you wrote nan)",
        ),
        (
            "clients: {a: {key: k, weight: 0}}",
            "f:1: clients.a.weight: must be greater than 0 (you wrote 0)",
        ),
        ("clients: {a: {}}", "f:1: clients.a.key: is required"),
        ("clients: {a: {key: ''}}", "f:1: clients.a.key: must not be empty"),
        ("clients: {a: {key: [k]}}", "f:1: clients.a.key: must be text"),
        ("models: {m: {targets: []}}", "f:1: models.m.targets: must not be empty"),
        (
            "models: {m: {targets: a/b}}",
            "f:1: models.m.targets: must be a list; write it as in [a, b]",
        ),
        (
            "models: {m: {targets: [gpt]}}",
            "f:1: models.m.targets[0]: must be written provider/model-id, as in"
            " openai/gpt-5-mini (you wrote gpt)",
        ),
        (
            "models: {m: {targets: [a/b]}}",
            "f:1: models.m.targets[0]: names a provider that is not configured (you wrote a/b);"
            " there are none yet: add it under providers",
        ),
        (
            "defaults: {unknown_model: default}",
            "f:1: defaults.unknown_model: is 'default', but there is no default model;"
            " set defaults.openai, defaults.anthropic or defaults.ollama",
        ),
        (
            "defaults: {openai: fast}",
            "f:1: defaults.openai: names no model, and no provider/model-id of a configured"
            " provider (you wrote fast)",
        ),
        (
            "clients: {a: {key: k, models: [o/x]}}",
            "f:1: clients.a.models[0]: names no model, and no provider/model-id of a configured"
            " provider (you wrote o/x)",
        ),
        (
            "clients:\n  a: {key: k}\n  b: {key: k}",
            "f:3: clients.b.key: is the same as the key of a; every client needs its own",
        ),
        (
            "clients:\n  a: {key: k, keyless: [ollama]}\n  b: {key: l, keyless: [openai, ollama]}",
            "f:3: clients.b.keyless[1]: is served without a key as a already; it can be one"
            " client's (you wrote ollama)",
        ),
        (
            "clients: {a: {key: k, keyless_from: [10.0.0.0/8]}}",
            "f:1: clients.a.keyless_from: is for clients with keyless only;"
            " name the dialects, as in keyless: [ollama], or remove it",
        ),
        (
            "clients: {a: {key: k, keyless: [ollama], keyless_from: [10.0.0.1/8]}}",
            "f:1: clients.a.keyless_from[0]: is no range of IP addresses (you wrote 10.0.0.1/8);"
            " write it as in 192.168.1.0/24, or a single address",
        ),
        (
            "clients: {a b: {key: k}}",
            "f:1: clients.'a b': is not a name: 1 to 64 letters, digits, '.', '_', '-' or '@',"
            " beginning with a letter or digit",
        ),
        ("- a", "f:1: must be a mapping of settings (name: value)"),
    ],
)
def test_each_rule_says_what_it_wants(text: str, line: str) -> None:
    assert lines(text) == [line]


def test_a_missing_space_does_not_show_what_follows_the_colon() -> None:
    assert lines("server: {}\nclients: {a: {key: k, key:hunter2}}") == [
        "f:2: clients.a.key: is not a setting; a space is missing after its ':'"
    ]


def test_targets_suggest_a_provider_and_may_not_repeat() -> None:
    text = "providers: {openai: {kind: ollama}}\nmodels: {m: {targets: [%s]}}"
    (dangling,) = problems(text % "opnai/x")
    assert dangling.fix == "did you mean 'openai'?"
    (unlike,) = problems(text % "zzz/x")
    assert unlike.fix == "there are: openai"
    (repeated,) = problems(text % "openai/x, openai/y, openai/x")
    assert (repeated.path, repeated.message) == (
        "models.m.targets[2]",
        "appears twice among the targets (you wrote openai/x)",
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("strategy: weighted", "is required where the strategy is weighted"),
        ("weights: [1, 2]", "is for the strategy weighted only"),
        ("strategy: fastest, weights: [1, 2]", "is for the strategy weighted only"),
        ("strategy: weighted, weights: [1]", "has 1 numbers for 2 targets"),
        ('strategy: weighted, weights: [0, "0"]', "must not all be 0"),
    ],
)
def test_weights_fit_the_targets_and_the_strategy(settings: str, message: str) -> None:
    text = "providers: {p: {kind: ollama}}\nmodels: {m: {targets: [p/x, p/y], %s}}"
    (problem,) = problems(text % settings)
    assert (problem.path, problem.message) == ("models.m.weights", message)


def test_an_unknown_kind_lists_the_kinds() -> None:
    (problem,) = problems("providers: {o: {kind: opena}}")
    assert problem.message == f"must be one of {', '.join(sorted(PROFILES))} (you wrote opena)"
    assert problem.fix == "did you mean 'openai'?"


@pytest.mark.parametrize(
    ("provider", "path", "message"),
    [
        ("{}", "p.kind", "is required"),
        ("{kind: openai}", "p.api_key", "is required for providers of kind openai"),
        (
            "{kind: openai_compatible}",
            "p.base_url",
            "is required for providers of kind openai_compatible",
        ),
        (
            "{kind: openai_compatible, hosts: ['http://a']}",
            "p.hosts",
            "is not for providers of kind openai_compatible",
        ),
        (
            "{kind: ollama, hosts: ['http://a'], base_url: 'http://b'}",
            "p.hosts",
            "and base_url exclude each other",
        ),
        ("{kind: ollama, hosts: ['http://a', 'http://a/']}", "p.hosts", "names a host twice"),
        ("{kind: ollama, hosts: []}", "p.hosts", "must not be empty"),
        (
            "{kind: ollama, headers: {content-length: '1'}}",
            "p.headers.content-length",
            "is a header that Forebay sets itself",
        ),
        ("{kind: ollama, headers: {'a:': b}}", "p.headers.a:", "is not a header's name"),
        (
            "{kind: ollama, headers: {X-A: a, x-a: b}}",
            "p.headers.x-a",
            "appears twice (case makes no difference)",
        ),
        ("{kind: openai, api_key: 'a b'}", "p.api_key", "must not hold spaces"),
    ],
)
def test_a_provider_must_fit_its_kind(provider: str, path: str, message: str) -> None:
    (problem,) = problems(f"providers: {{p: {provider}}}")
    assert (problem.path, problem.message) == (f"providers.{path}", message)


@pytest.mark.parametrize("value", ["key\n", " key", "k\x7fy", "clé", "\ud800"])
def test_what_could_not_be_sent_in_a_header_is_refused_before_it_is(value: str) -> None:
    text = "providers: {p: {kind: ollama, api_key: '${V}', headers: {x-a: '${V}'}}}"
    assert [(problem.path, problem.message) for problem in problems(text, V=value)] == [
        (
            path,
            "holds a line break, a space at an end, or characters outside ASCII;"
            " it could not be sent in a header",
        )
        for path in ("providers.p.api_key", "providers.p.headers.x-a")
    ]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("127.0.0.1:8000", "must be a URL that begins with http:// or https://"),
        ("ftp://a", "must be a URL that begins with http:// or https://"),
        ("http://", "must be a URL that begins with http:// or https://"),
        ("http://a:b", "is not a URL"),
        ("http://[::1", "is not a URL"),
        ("http://user@a/v1", "must not hold a user name or password"),
        ("http://:secret@a/v1", "must not hold a user name or password"),
        ("http://a/v1?key=secret", "must not hold a query ('?') or fragment ('#')"),
        ("http://a/v1?", "must not hold a query ('?') or fragment ('#')"),
        ("http://a/v1#secret", "must not hold a query ('?') or fragment ('#')"),
        ("http://a b/v1", "holds characters that a URL can't have"),
        ("http://a/ä", "holds characters that a URL can't have"),
    ],
)
def test_a_base_url_is_http_and_holds_no_key(url: str, message: str) -> None:
    (problem,) = problems(f"providers: {{p: {{kind: openai_compatible, base_url: '{url}'}}}}")
    assert (problem.path, problem.message) == ("providers.p.base_url", message)
    assert "secret" not in f"{problem}"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://localhost:4290/v1"),
        ("localhost", "http://127.0.0.1:4290"),
        ("0.0.0.0", "http://[::1]:4290"),
        ("10.0.0.1", "http://10.0.0.1:4290"),
    ],
)
def test_a_provider_may_not_be_the_gateway_itself(host: str, url: str) -> None:
    text = (
        f"server: {{host: {host}}}\nclients: {{a: {{key: k}}}}\n"
        f"providers: {{p: {{kind: ollama, hosts: ['http://a:4290', '{url}']}}}}"
    )
    (problem,) = problems(text)
    assert (problem.path, problem.message) == (
        "providers.p.hosts[1]",
        "is the address of this gateway itself",
    )


def test_a_missing_variable_is_named_with_its_line_and_nothing_follows_from_it() -> None:
    text = "\nproviders:\n  o: {kind: openai, api_key: '${A_KEY}${B_KEY}'}\nserver: {port: '${P}'}"
    assert lines(text) == [
        "f:3: providers.o.api_key: the environment variable A_KEY is not set;"
        " set it, or write ${A_KEY:-default}",
        "f:3: providers.o.api_key: the environment variable B_KEY is not set;"
        " set it, or write ${B_KEY:-default}",
        "f:4: server.port: the environment variable P is not set; set it, or write ${P:-default}",
    ]


@pytest.mark.parametrize("text", ["${", "${}", "${1}", "${A", "${A-b}", "${A:-${B}}", "${A B}"])
def test_a_reference_that_is_none_is_an_error(text: str) -> None:
    (problem,) = problems(f"clients: {{a: {{key: '{text}'}}}}", A="a", B="b")
    assert (problem.path, problem.message) == (
        "clients.a.key",
        "holds a '${' that begins no reference",
    )
    assert problem.fix == "write ${NAME} or ${NAME:-default}, or $$ for a dollar sign"


def test_a_setting_that_appears_twice_is_an_error() -> None:
    assert lines("server:\n  port: 1\n  host: localhost\n  'port': 2\n") == [
        "f:4: server.port: appears twice (first on line 2); remove one of them"
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a:\n\tb: 1", "f:2: is not valid YAML: a tab can't indent a line; use spaces"),
        (
            "a: b: c",
            "f:1: is not valid YAML: unexpected ':'; put text that holds ': ' in quotes",
        ),
        (
            "server: {port: ${PORT}}",
            "f:1: is not valid YAML: unexpected '{'; put ${NAME} in quotes, as in \"${NAME}\"",
        ),
        ("a: [\n\n", "f:3: is not valid YAML: expected the node content, but found '<stream end>'"),
        ("a: 1\n---\nb: 2", "f:2: holds a second document ('---'); only one is read"),
        (
            "a: *b",
            "f:1: an alias ('*') has no anchor ('&') above it;"
            " put text that begins with '*' in quotes",
        ),
        (
            "a: &a [*a]",
            "f:1: an alias ('*') has no anchor ('&') above it;"
            " put text that begins with '*' in quotes",
        ),
        (
            "a: !secret x",
            "f:1: tags ('!') are not used here; put text that begins with '!' in quotes",
        ),
        (
            "a: !secret!x",
            "f:1: is not valid YAML: text that begins with '!' must be in quotes",
        ),
        ("<<: {}", "f:1: merge keys ('<<') are not used here; write the settings out"),
        ("? [a]\n: b", "f:1: a key must be plain text"),
        ("a: 1\nb: \x00", "f:2: holds a character that YAML does not allow"),
        ('a: "\\UFFFFFFFF"', "f: holds an escape sequence or a number that is too large"),
        ("[" * 10_000, f"f:1: is nested more than {MAX_DEPTH} levels deep"),
    ],
)
def test_a_file_that_is_no_configuration_gives_one_line(text: str, line: str) -> None:
    assert lines(text) == [line]


def test_a_short_file_can_not_stand_for_gigabytes() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]\n" for n in range(1, 20)
    )
    (problem,) = problems(bomb)
    assert problem.message == f"holds more than {MAX_VALUES} values"


def test_aliases_can_not_nest_deeper_than_brackets() -> None:
    chain = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 1000))
    (problem,) = problems(chain)
    assert problem.message == f"is nested more than {MAX_DEPTH} levels deep"


def test_bytes_that_are_no_text_are_told_with_their_line() -> None:
    with pytest.raises(ConfigError, match=r"^f:2: is not UTF-8 text$"):
        settings_from_yaml(b"a: 1\nb: \xff\n", source="f", environ={})


def test_a_file_that_can_not_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as missing:
        load_settings(tmp_path / "no.yaml")
    assert str(missing.value) == f"{tmp_path}/no.yaml: does not exist; forebay init writes one"
    with pytest.raises(ConfigError) as folder:
        load_settings(tmp_path)
    assert str(folder.value) == f"{tmp_path}: can't be read: Is a directory"


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ({"server": {"port": True}}, "settings: server.port: must be a number (you wrote True)"),
        (
            {"server": {"port": 5.5}},
            "settings: server.port: must be a whole number (you wrote 5.5)",
        ),
        ({"clients": {"a": {"key": 5}}}, "settings: clients.a.key: must be text"),
        ({"clients": {5: {"key": "k"}}}, "settings: clients[5]: must be text"),
        ({"clients": 5}, "settings: clients: must be a mapping of settings (name: value)"),
        (
            {"wait": {"hold": "x\n" + "y" * 99}},
            "settings: wait.hold: must be one of auto, silent, keepalive (you wrote"
            rf" 'x\n{'y' * 57}\u2026')",
        ),
    ],
)
def test_embedders_get_the_same_problems_without_lines(data: dict[str, object], line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_settings(data)
    assert str(caught.value) == line


def test_what_a_model_can_and_can_not_do_is_checked_word_by_word() -> None:
    text = """
providers:
  up:
    kind: ollama
    targets:
      m: {capabilities: [vision, tool], lacks: [audio]}
      n: {capabilities: [tools, vision], lacks: [vision], context_tokens: 0}
"""
    assert lines(text) == [
        "f:6: providers.up.targets.m.capabilities[1]: must be one of chat, completion, embedding,"
        " tools, parallel_tools, json_schema, vision, audio, thinking, prefix_continuation"
        " (you wrote tool); did you mean 'tools'?",
        "f:7: providers.up.targets.n.lacks[0]: is among the capabilities, too (you wrote vision);"
        " keep it in one of the two lists",
        "f:7: providers.up.targets.n.context_tokens: must be greater than 0 (you wrote 0)",
    ]
