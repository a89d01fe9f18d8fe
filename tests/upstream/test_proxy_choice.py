"""Which proxy is taken for which address, by the environment and by URLs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.actors.upstream.proxies import EnvironmentProxies, Proxy, ProxyUnusable, read_proxy

PROXY = "http://proxy.test:3128"


def chosen(environ: dict[str, str], url: str) -> str | None:
    """``HOST:PORT`` of the proxy for a URL such as ``https://host:8443``."""
    scheme, _, rest = url.partition("://")
    host, colon, port = rest.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = rest, {"http": "80", "https": "443"}[scheme]
    proxy = EnvironmentProxies(environ).proxy_for(scheme, host, int(port))
    return None if proxy is None else proxy.address


@pytest.mark.parametrize(
    ("environ", "url", "proxy"),
    [
        ({}, "https://up.test", None),
        ({"HTTPS_PROXY": "http://a:1"}, "https://up.test", "a:1"),
        ({"HTTPS_PROXY": "http://a:1"}, "http://up.test", None),
        ({"HTTP_PROXY": "http://a:1"}, "http://up.test", "a:1"),
        ({"HTTP_PROXY": "http://a:1"}, "https://up.test", None),
        ({"ALL_PROXY": "http://a:1"}, "https://up.test", "a:1"),
        ({"ALL_PROXY": "http://a:1"}, "http://up.test", "a:1"),
        ({"ALL_PROXY": "http://a:1", "HTTPS_PROXY": "http://b:2"}, "https://up.test", "b:2"),
        ({"https_proxy": "http://a:1", "HTTPS_PROXY": "http://b:2"}, "https://up.test", "a:1"),
        ({"https_proxy": "", "HTTPS_PROXY": "http://b:2"}, "https://up.test", "b:2"),
        ({"HTTPS_PROXY": "proxy.test:3128"}, "https://up.test", "proxy.test:3128"),
        ({"HTTPS_PROXY": "http://proxy.test"}, "https://up.test", "proxy.test:80"),
        ({"HTTPS_PROXY": "https://proxy.test"}, "https://up.test", "proxy.test:443"),
        ({"HTTPS_PROXY": "http://[fd00::1]:8080/"}, "https://up.test", "[fd00::1]:8080"),
        ({"HTTP_PROXY": "http://a:1", "REQUEST_METHOD": "GET"}, "http://up.test", None),
        ({"http_proxy": "http://a:1", "REQUEST_METHOD": "GET"}, "http://up.test", "a:1"),
    ],
)
def test_the_variable_for_the_scheme_names_the_proxy(
    environ: dict[str, str], url: str, proxy: str | None
) -> None:
    assert chosen(environ, url) == proxy


@pytest.mark.parametrize(
    ("exempt", "url", "is_exempt"),
    [
        ("*", "https://up.test", True),
        ("up.test", "https://up.test", True),
        ("up.test", "https://UP.Test", True),
        ("UP.TEST", "https://up.test.", True),
        ("up.test", "https://api.up.test", True),
        ("up.test", "https://cup.test", False),
        ("up.test", "https://up.test.evil", False),
        (".up.test", "https://up.test", True),
        (".up.test", "https://api.up.test", True),
        (".up.test", "https://cup.test", False),
        ("*.up.test", "https://api.up.test", True),
        ("*.up.test", "https://up.test", False),
        ("up.test:8443", "https://up.test:8443", True),
        ("up.test:8443", "https://api.up.test:8443", True),
        ("up.test:8443", "https://up.test", False),
        ("up.test:443", "https://up.test", True),
        ("https://up.test", "https://up.test", True),
        ("http://up.test", "https://up.test", False),
        ("other.test, up.test", "https://up.test", True),
        ("other.test up.test", "https://up.test", True),
        ("other.test,,", "https://up.test", False),
        ("10.0.0.7", "https://10.0.0.7", True),
        ("10.0.0.7", "https://10.0.0.70", False),
        ("10.0.0.7:8443", "https://10.0.0.7:8443", True),
        ("10.0.0.7:8443", "https://10.0.0.7", False),
        ("10.0.0.0/8", "https://10.200.0.1", True),
        ("10.0.0.0/8", "https://11.0.0.1", False),
        ("10.1.2.3/8", "https://10.200.0.1", True),
        ("10.0.0.0/8", "https://up.test", False),
        ("10.0.0.0/8", "https://[::ffff:10.0.0.1]", True),
        ("fd00::/8", "https://[fd12::1]", True),
        ("fd00::/8", "https://[fe80::1]", False),
        ("fd00::7", "https://[fd00::7]", True),
        ("[fd00::7]", "https://[fd00:0::7]", True),
        ("[fd00::7]:8443", "https://[fd00::7]:8443", True),
        ("[fd00::7]:8443", "https://[fd00::7]:443", False),
    ],
)
def test_no_proxy_exempts_what_curl_go_and_httpx_exempt(
    exempt: str, url: str, is_exempt: bool
) -> None:
    environ = {"HTTPS_PROXY": PROXY, "NO_PROXY": exempt}
    assert chosen(environ, url) == (None if is_exempt else "proxy.test:3128")


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST.", "up.localhost", "127.0.0.1", "127.9.9.9", "[::1]", "0.0.0.0"],
)
def test_this_machine_is_never_called_through_a_proxy_of_the_environment(host: str) -> None:
    assert chosen({"ALL_PROXY": PROXY}, f"http://{host}:11434") is None


def test_the_lower_case_no_proxy_comes_first() -> None:
    environ = {"HTTPS_PROXY": PROXY, "no_proxy": "a.test", "NO_PROXY": "b.test"}
    assert chosen(environ, "https://a.test") is None
    assert chosen(environ, "https://b.test") == "proxy.test:3128"


def test_the_environment_is_read_once() -> None:
    environ = {"HTTPS_PROXY": PROXY}
    proxies = EnvironmentProxies(environ)
    environ["HTTPS_PROXY"] = "http://other.test:1"
    environ["NO_PROXY"] = "*"
    proxy = proxies.proxy_for("https", "up.test", 443)
    assert proxy is not None
    assert proxy.address == "proxy.test:3128"


def test_a_user_name_and_a_password_become_a_header_that_is_never_shown() -> None:
    proxy = read_proxy("https://ana:p%40ss@proxy.test", "HTTPS_PROXY")
    assert proxy.authorization == b"Basic YW5hOnBAc3M="  # ana:p@ss
    assert proxy.over_tls
    assert "YW5h" not in repr(proxy)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("socks5://proxy.test:1080", "SOCKS"),
        ("SOCKS5H://proxy.test", "SOCKS"),
        ("ftp://proxy.test", "http:// or https://"),
        ("http://", "not the URL"),
        ("http://:3128", "not the URL"),
        ("http://proxy.test:port", "not the URL"),
        ("http://proxy.test:0", "not the URL"),
        ("http://[fd00::1", "not the URL"),
        ("http://proxy.test/path", "path"),
        ("http://proxy.test?q=1", "query"),
    ],
)
def test_what_is_no_proxy_is_an_error_that_names_its_variable(url: str, message: str) -> None:
    proxies = EnvironmentProxies({"HTTPS_PROXY": url, "NO_PROXY": "direct.test"})
    assert proxies.proxy_for("https", "direct.test", 443) is None
    with pytest.raises(ProxyUnusable, match=message) as caught:
        proxies.proxy_for("https", "up.test", 443)
    assert caught.value.setting == "HTTPS_PROXY"


@given(st.text())
def test_whatever_stands_for_a_proxy_is_read_or_refused(text: str) -> None:
    try:
        proxy = read_proxy(text, "HTTPS_PROXY")
    except ProxyUnusable:
        return
    assert isinstance(proxy, Proxy)
    assert proxy.host
    assert 0 < proxy.port < 65_536


@given(st.text(), st.text())
def test_whatever_stands_in_no_proxy_is_read(exempt: str, host: str) -> None:
    EnvironmentProxies({"HTTPS_PROXY": PROXY, "NO_PROXY": exempt}).proxy_for("https", host, 443)
