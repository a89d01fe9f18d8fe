"""Whatever a client sends: a 4xx in its own dialect that says what is wrong, over real TCP."""

from __future__ import annotations

import pytest
import trio
from loopback_gateway import Answer, Loopback, open_loopback
from spoken_errors import ANTHROPIC, CHAT_PATHS, OLLAMA, OPENAI, assert_spoken, request_of

from forebay.protocol.jsontext import JsonObject, JsonValue, dumps

pytestmark = pytest.mark.usefixtures("no_errors_logged")

KEY = "client-key-0123456789"
WITH_CLIENTS: dict[str, object] = {"clients": {"team": {"key": KEY}}}
SMALL = {"max_body_bytes": 4096, "body_idle_ms": 150}

MALFORMED: dict[str, bytes] = {
    "empty": b"",
    "white space": b" \r\n ",
    "half an object": b'{"model": "fast", "messages": [',
    "trailing text": b'{"model": "fast"} and more',
    "an array": b"[]",
    "a string": b'"fast"',
    "a number": b"5",
    "null": b"null",
    "not JSON": b"model=fast&messages=hello",
    "invalid UTF-8": b'{"model": "fa\xffst"}',
    "UTF-16": '{"model": "fast"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"model": "fast"}',
    "a lone surrogate": b'{"model": "fast", "x": "\\ud800"}',
    "NaN": b'{"model": "fast", "temperature": NaN}',
    "a control character": b'{"model": "fa\x00st"}',
    "too deep to read": b'{"x":' + b"[" * 5000 + b"]" * 5000 + b"}",
}

WRONG_FIELDS: dict[str, dict[str, JsonValue]] = {
    "no model": {"model": None},
    "an empty model": {"model": ""},
    "a model that is a number": {"model": 5},
    "a model that is an object": {"model": {"name": "fast"}},
    "a stream that is a string": {"stream": "yes"},
    "tools that are an object": {"tools": {}},
    "tools of strings": {"tools": ["f"]},
}
"""For every chat path. Generating knows no tools, and overlooks them."""

WRONG_BY_PATH: dict[str, list[dict[str, JsonValue]]] = {
    "/v1/chat/completions": [
        {"messages": None},
        {"messages": "hello"},
        {"messages": {}},
        {"messages": [5]},
        {"messages": [{}]},
        {"messages": [{"role": 5, "content": "x"}]},
        {"messages": [{"role": "user", "content": 5}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]},
        {"temperature": "hot"},
        {"max_tokens": "many"},
        {"max_tokens": 1.5},
        {"n": "two"},
        {"stop": 5},
        {"tool_choice": 5},
        {"response_format": "json"},
    ],
    "/v1/messages": [
        {"messages": None},
        {"messages": "hello"},
        {"messages": [5]},
        {"messages": [{"role": "nobody", "content": "x"}]},
        {"messages": [{"role": "user", "content": 5}]},
        {"max_tokens": None},
        {"max_tokens": "many"},
        {"system": 5},
        {"temperature": "hot"},
        {"stop_sequences": "x"},
        {"thinking": "yes"},
        {"tool_choice": "auto"},
    ],
    "/api/chat": [
        {"messages": "hello"},
        {"messages": [5]},
        {"messages": [{"role": "user", "content": 5}]},
        {"options": "none"},
        {"options": {"temperature": "hot"}},
        {"format": 5},
        {"think": 5},
    ],
    "/api/generate": [
        {"prompt": 5},
        {"prompt": ["x"]},
        {"system": 5},
        {"images": "x"},
        {"options": []},
    ],
}


def spoken(answer: Answer, dialect: str, status: int) -> str:
    assert answer.is_whole
    return assert_spoken(dialect, status, answer.status, answer.headers, answer.body)


async def post(gateway: Loopback, path: str, body: bytes | JsonObject) -> Answer:
    with trio.fail_after(10):
        return await gateway.request("POST", path, body=body)


async def test_a_body_that_is_no_json_object_is_a_400_in_the_dialect() -> None:
    async with open_loopback() as gateway:
        for path, dialect in CHAT_PATHS.items():
            for name, body in MALFORMED.items():
                message = spoken(await post(gateway, path, body), dialect, 400)
                if dialect == "ollama" and name == "empty":
                    assert message == "missing request body"
                else:
                    assert "JSON" in message, (path, name)
        await gateway.serves()
        assert gateway.sandbox.statistics().received == 1


async def test_a_field_of_the_wrong_type_is_a_400_that_names_it() -> None:
    async with open_loopback() as gateway:
        for path, dialect in CHAT_PATHS.items():
            for fields in WRONG_FIELDS.values():
                if path == "/api/generate" and "tools" in fields:
                    continue
                answer = await post(gateway, path, request_of(path, **fields))
                message = spoken(answer, dialect, 400)
                assert next(iter(fields)) in message, (path, fields)
            for fields in WRONG_BY_PATH[path]:
                answer = await post(gateway, path, request_of(path, **fields))
                message = spoken(answer, dialect, 400)
                assert next(iter(fields)) in message or "option" in message, (path, fields)
        assert gateway.sandbox.statistics().received == 0


@pytest.mark.parametrize("path", CHAT_PATHS)
async def test_numbers_beyond_all_measure_never_break_anything(path: str) -> None:
    where = {
        "/v1/chat/completions": ["max_tokens", "temperature", "seed", "n", "top_p"],
        "/v1/messages": ["max_tokens", "temperature", "top_k"],
    }.get(path, ["keep_alive"])
    async with open_loopback() as gateway:
        for name in where:
            for number in ("1e300", "-1e300", "9" * 19, "9" * 400, "-0.0", "1e400"):
                text = dumps(request_of(path, **{name: "@"})).replace(b'"@"', number.encode())
                answer = await post(gateway, path, text)
                if answer.status != 200:
                    spoken(answer, CHAT_PATHS[path], 400)
        await gateway.serves()


async def test_an_unknown_model_is_a_404_whatever_its_name() -> None:
    names = ["nobody", "up2/x", "a\r\nx-evil: 1", "\x00", "€", "x" * 100_000, "../../etc", "%2e"]
    async with open_loopback() as gateway:
        for path, dialect in CHAT_PATHS.items():
            for name in names:
                answer = await post(gateway, path, request_of(path, model=name))
                message = spoken(answer, dialect, 404)
                assert "not found" in message
                assert len(message) < 1000
                assert "x-evil" not in answer.headers


async def test_a_target_named_outright_may_have_any_name_and_never_splits_a_header() -> None:
    async with open_loopback() as gateway:
        for name in ("x\r\nx-evil: 1", "\x00\x7f", "€uro", " spaces ", "y" * 500):
            answer = await post(
                gateway,
                "/v1/chat/completions",
                request_of("/v1/chat/completions", model=f"up/{name}"),
            )
            assert answer.status == 404, answer
            assert answer.headers["x-forebay-target"].startswith("up/")
            assert "x-evil" not in answer.headers
            assert answer.is_whole


async def test_a_field_that_is_dropped_is_named_in_a_header_whatever_it_is_called() -> None:
    async with open_loopback(provider={"kind": "ollama"}) as gateway:
        body = request_of("/v1/chat/completions", **{"x\r\nevil: 1": 1, "€": 2, "long" * 9999: 3})
        answer = await post(gateway, "/v1/chat/completions", body)
        assert answer.status == 200
        assert "evil" not in answer.headers
        assert answer.headers["x-forebay-dropped"].startswith("x??evil: 1, ?, long")
        assert len(answer.headers["x-forebay-dropped"]) <= 1024


async def test_the_show_page_of_ollama_bears_anything_too() -> None:
    async with open_loopback() as gateway:
        for body in (*MALFORMED.values(), b"{}", b'{"model": 5}', b'{"name": []}'):
            spoken(await post(gateway, "/api/show", body), OLLAMA, 400)
        spoken(await post(gateway, "/api/show", b'{"model": "nobody"}'), OLLAMA, 404)
        for size in (100_000, 2 << 20):
            spoken(await post(gateway, "/api/show", bytes(size)), OLLAMA, 413)
        assert (await post(gateway, "/api/show", b'{"model": "fast"}')).status == 200


@pytest.mark.parametrize("path", CHAT_PATHS)
async def test_trap_3_a_bad_key_is_a_401_in_the_dialect(path: str) -> None:
    dialect = CHAT_PATHS[path]
    async with open_loopback(WITH_CLIENTS) as gateway:
        wrong = [
            {},
            {"authorization": "Bearer wrong"},
            {"authorization": "Bearer "},
            {"authorization": KEY},
            {"authorization": f"Basic {KEY}"},
            {"authorization": f"Bearer {KEY}x"},
            {"authorization": f"Bearer \xff{KEY}"},
            {"x-api-key": "wrong"},
            {"api-key": "wrong"},
            {"x-api-key": ""},
            {"cookie": f"authorization={KEY}"},
        ]
        for headers in wrong:
            answer = await gateway.request("POST", path, body=request_of(path), headers=headers)
            message = spoken(answer, dialect, 401)
            assert "key" in message
            assert KEY not in answer.body.decode()
        right = [
            {"authorization": f"Bearer {KEY}"},
            {"authorization": f"bearer  {KEY} "},
            {"x-api-key": KEY},
            {"api-key": KEY},
            # Tools that want some token beside the key send this:
            {"authorization": "Basic Og==", "x-api-key": KEY},
        ]
        for headers in right:
            answer = await gateway.request("POST", path, body=request_of(path), headers=headers)
            assert answer.status == 200, headers
        spoken(await gateway.request("GET", path), dialect, 401)


async def test_a_body_over_the_limit_is_a_413_however_it_is_sent() -> None:
    async with open_loopback(server=SMALL) as gateway:
        for path, dialect in CHAT_PATHS.items():
            body = dumps(request_of(path, "x" * 5000))
            message = spoken(await post(gateway, path, body), dialect, 413)
            assert "4096 bytes" in message
            pieces = b"".join(
                b"%x\r\n%s\r\n" % (len(body[at : at + 500]), body[at : at + 500])
                for at in range(0, len(body), 500)
            )
            client = await gateway.connect()
            head = gateway.head("POST", path, {"transfer-encoding": "chunked"})
            await client.send(head + pieces + b"0\r\n\r\n")
            spoken(await client.answer("POST"), dialect, 413)
            # Told before it sends anything:
            client = await gateway.connect()
            await client.send(gateway.head("POST", path, {"content-length": "99999999999"}))
            spoken(await client.answer("POST"), dialect, 413)
        small = dumps(request_of("/api/chat"))
        client = await gateway.connect()
        head = gateway.head("POST", "/api/chat", {"transfer-encoding": "chunked"})
        await client.send(head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(small), small))
        assert (await client.answer("POST")).status == 200


@pytest.mark.parametrize("path", CHAT_PATHS)
async def test_a_request_that_falls_silent_is_a_408_and_one_that_breaks_off_is_forgotten(
    path: str,
) -> None:
    body = dumps(request_of(path))
    async with open_loopback(server=SMALL) as gateway:
        half = gateway.head("POST", path, {"content-length": str(len(body))}) + body[:20]
        silent = await gateway.connect()
        began = trio.current_time()
        await silent.send(half)
        spoken(await silent.answer("POST"), CHAT_PATHS[path], 408)
        assert 0.14 < trio.current_time() - began < 2
        assert await silent.at_end()
        gone = await gateway.connect()
        await gone.send(half)
        await gone.aclose()
        await gateway.serves()
        status = await gateway.status()
        assert status["waiting_bytes"] == {
            "limit": 1024 * 1024 * 1024,
            "in_use": 0,
            "requests_waiting_for_bytes": 0,
        }
        assert gateway.sandbox.statistics().received == 1


UNKNOWN_PATHS = {
    "/v1/nothing": OPENAI,
    "/v1/chat": OPENAI,
    "/v1/chat/completions/": OPENAI,
    "/nothing": OPENAI,
    "//v1//models": OPENAI,
    "/v1/v1/models": OPENAI,
    "/v1/messages/nothing": ANTHROPIC,
    "/v1/messages/batches": ANTHROPIC,
    "/api/nothing": OLLAMA,
    "/api/": OLLAMA,
    "/%ff%fe%00": OPENAI,
    "/..%2f..%2fetc/passwd": OPENAI,
}


async def test_unknown_paths_are_a_404_in_the_dialect_of_their_prefix() -> None:
    async with open_loopback() as gateway:
        for path, dialect in UNKNOWN_PATHS.items():
            for method in ("GET", "POST", "DELETE", "OPTIONS"):
                answer = await gateway.request(method, path, body=b"")
                spoken(answer, dialect, 404)
        answer = await gateway.request(
            "GET", "/v1/nothing", headers={"anthropic-version": "2023-06-01"}
        )
        spoken(answer, ANTHROPIC, 404)


async def test_wrong_methods_are_a_405_in_the_dialect_that_names_the_right_ones() -> None:
    pages = {"/v1/models": OPENAI, "/v1/models/fast": OPENAI, "/api/tags": OLLAMA, "/": OLLAMA}
    async with open_loopback() as gateway:
        for path, dialect in CHAT_PATHS.items():
            for method in ("GET", "DELETE", "PUT", "OPTIONS", "BREW"):
                answer = await gateway.request(method, path)
                spoken(answer, dialect, 405)
                assert answer.headers["allow"] == "POST"
        for path, dialect in pages.items():
            for method in ("POST", "DELETE", "OPTIONS", "BREW"):
                answer = await gateway.request(method, path, body=b"")
                spoken(answer, dialect, 405)
                assert answer.headers["allow"] == "GET, HEAD"


async def test_head_is_a_get_without_the_body() -> None:
    async with open_loopback() as gateway:
        for path in ("/", "/v1/models", "/api/tags", "/healthz"):
            answer = await gateway.request("HEAD", path)
            assert (answer.status, answer.body) == (200, b"")
            assert answer.headers["x-request-id"]
        assert (await gateway.request("HEAD", "/v1/messages")).status == 405
        assert (await gateway.request("HEAD", "/v1/nothing")).status == 404


async def test_trap_5_model_ids_with_slashes_and_colons_are_found_either_way() -> None:
    config: dict[str, object] = {"models": {"a/b:c": {"targets": ["up/sandbox-chat"]}}}
    async with open_loopback(config) as gateway:
        for path in ("/v1/models/a/b:c", "/v1/models/a%2Fb%3Ac", "/v1/models/a%2fb:c"):
            for headers in ({}, {"anthropic-version": "2023-06-01"}):
                answer = await gateway.request("GET", path, headers=headers)
                assert answer.status == 200, path
                assert answer.json()["id"] == "a/b:c"
        for path in ("/v1/models/a%252Fb:c", "/v1/models/%0a", "/v1/models/a//b:c"):
            spoken(await gateway.request("GET", path), OPENAI, 404)


async def test_queries_never_break_anything() -> None:
    queries = ["?", "?beta=true", "?a=%ff&&==&%%%", "?" + "&" * 2000, "?max_wait_ms", "?x=%00"]
    path = "/v1/chat/completions"
    async with open_loopback() as gateway:
        for query in queries:
            assert (await gateway.request("GET", f"/v1/models{query}")).status == 200
            answer = await post(gateway, f"{path}{query}", request_of(path))
            if query == "?max_wait_ms":
                assert "max_wait_ms" in spoken(answer, OPENAI, 400)
            else:
                assert answer.status == 200
        for value in ("-1", "1.5", "1e9", "²", "9" * 5000, "soon"):
            answer = await gateway.request(
                "POST", path, body=request_of(path), headers={"x-forebay-max-wait-ms": value}
            )
            spoken(answer, OPENAI, 400)


async def test_a_whole_url_as_the_target_means_its_path() -> None:
    path = "/v1/chat/completions"
    async with open_loopback() as gateway:
        url = f"http://{gateway.authority}"
        assert (await gateway.request("GET", f"{url}/v1/models")).status == 200
        assert (await post(gateway, url + path, request_of(path))).status == 200
        assert (await gateway.request("GET", url)).body == b"Ollama is running"
        spoken(await gateway.request("GET", "http://[::1/v1/models"), OPENAI, 404)
        spoken(await gateway.request("OPTIONS", "*"), OPENAI, 404)


async def test_websockets_are_refused_in_plain_http_and_by_the_door() -> None:
    upgrade = {
        "connection": "upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    async with open_loopback() as gateway:
        for path in ("/v1/realtime", "/v1/models", "/v1/chat/completions"):
            answer = await gateway.request("GET", path, headers=upgrade)
            assert "HTTP" in spoken(answer, OPENAI, 404)
            answer = await gateway.request("GET", path, headers=upgrade, host="evil.com")
            spoken(answer, OPENAI, 403)
    async with open_loopback(WITH_CLIENTS) as gateway:
        spoken(await gateway.request("GET", "/v1/realtime", headers=upgrade), OPENAI, 401)
