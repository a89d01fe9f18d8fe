"""Trap 40: images that are only linked to, for upstreams that take inline ones (Ollama)."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

import httpx
import pytest
import trio
from imitation import Answers, Imitated, Imitation
from memory_network import MemoryNetwork
from trio.testing import MockClock
from worlds import GATEWAY, World, open_world

from forebay.actors.upstream import Allowance, ImageFetcher, LinkRefused
from forebay.actors.upstream.public_network import is_public
from forebay.endpoints.sandbox import SandboxOptions

PUBLIC = "93.184.216.34"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PNG_TEXT = base64.b64encode(PNG).decode()
OLLAMA = {"kind": "ollama", "hosts": ["http://up.test"]}
CLAUDE = {"kind": "anthropic", "base_url": "http://up.test", "api_key": "k-secret-1"}
OPENAI = {"kind": "openai_compatible", "base_url": "http://up.test/v1"}


class Names:
    """A resolver: the first answer to a name, then the second, and so on."""

    def __init__(self, addresses: Mapping[str, Sequence[Sequence[str]]]) -> None:
        self._answers = {name: iter(answers) for name, answers in addresses.items()}
        self.asked: list[str] = []

    async def resolve(self, host: str, port: int) -> list[str]:
        await trio.lowlevel.checkpoint()
        self.asked.append(host)
        try:
            return [host] if is_address(host) else list(next(self._answers[host]))
        except (KeyError, StopIteration):
            raise OSError("no such name") from None


def is_address(host: str) -> bool:
    return host.replace(".", "").isdigit() or ":" in host


def _fetcher(names: Names, network: MemoryNetwork) -> ImageFetcher:
    return ImageFetcher(resolve=names.resolve, network=network)


@asynccontextmanager
async def _world(
    answers: Answers,
    addresses: Mapping[str, Sequence[Sequence[str]]] | None = None,
    *,
    providers: Mapping[str, object] | None = None,
    targets: Sequence[str] = ("up/sandbox-chat",),
    at: Sequence[str] = (PUBLIC,),
    **config: object,
) -> AsyncIterator[tuple[World, Imitation, Names]]:
    images = Imitation(answers)
    names = Names({"pictures.test": [[PUBLIC]] * 9, **(addresses or {})})
    settings = {
        "wait": {"max_wait_ms": 60_000},
        "providers": providers or {"up": OLLAMA},
        "models": {"fast": {"targets": list(targets)}},
        **config,
    }
    async with open_world(
        settings,
        sandboxes={"up": SandboxOptions(keep_requests=20)},
        hosts=dict.fromkeys(at, images.serve),
        image_fetcher=partial(_fetcher, names),
    ) as world:
        yield world, images, names


def _question(*urls: str) -> list[dict[str, object]]:
    parts: list[dict[str, object]] = [{"type": "text", "text": "what is this?"}]
    parts += [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return [{"role": "user", "content": parts}]


async def _ask(world: World, *urls: str) -> httpx.Response:
    body = {"model": "fast", "messages": _question(*urls)}
    return await world.client.post(f"{GATEWAY}/v1/chat/completions", json=body)


def _sent_images(world: World) -> list[str]:
    (request,) = [each for each in world.sandbox.requests if each.path == "/api/chat"]
    images = json.loads(request.body)["messages"][0]["images"]
    assert isinstance(images, list)
    return images


async def test_a_linked_image_reaches_ollama_inline(autojump_clock: MockClock) -> None:
    """Trap 40."""
    answers = {
        "GET /cat.png?size=1": Imitated(PNG, "text/plain"),
        "GET /dog": Imitated((PNG[:9], PNG[9:]), "image/jpeg"),
    }
    async with _world(answers) as (world, images, _):
        cat, dog = "http://pictures.test/cat.png?size=1", "http://pictures.test/dog"
        got = await _ask(world, cat, dog, cat)
        assert got.status_code == 200, got.text
        assert _sent_images(world) == [PNG_TEXT] * 3
        assert len(images.requests) == 2, "the same image is fetched once"
        sent = images.last.headers
        assert sent["host"] == "pictures.test"
        assert not {"authorization", "cookie", "x-forwarded-for"} & set(sent)
        assert await world.is_at_rest()
        assert world.gateway.linked_images.budget.lent == 0


async def test_an_image_in_a_tools_result_is_brought_in_too(autojump_clock: MockClock) -> None:
    async with _world({"GET /cat": Imitated(PNG)}) as (world, _, _):
        link = {"type": "url", "url": "http://pictures.test/cat"}
        result = {"type": "image", "source": link}
        got = await world.client.post(
            f"{GATEWAY}/v1/messages",
            json={
                "model": "fast",
                "max_tokens": 20,
                "messages": [
                    {"role": "user", "content": "look"},
                    {
                        "role": "assistant",
                        "content": [{"type": "tool_use", "id": "t1", "name": "see", "input": {}}],
                    },
                    {
                        "role": "user",
                        "content": [
                            {"type": "tool_result", "tool_use_id": "t1", "content": [result]}
                        ],
                    },
                ],
            },
            headers={"anthropic-version": "2023-06-01"},
        )
        assert got.status_code == 200, got.text
        (request,) = [each for each in world.sandbox.requests if each.path == "/api/chat"]
        assert PNG_TEXT.encode() in request.body


async def test_servers_that_follow_links_are_sent_the_link(autojump_clock: MockClock) -> None:
    async with _world({}, providers={"up": OPENAI}) as (world, images, names):
        got = await _ask(world, "http://pictures.test/cat")
        assert got.status_code == 200
        assert not images.requests
        assert not names.asked
        assert b"http://pictures.test/cat" in world.sandbox.requests[-1].body


PRIVATE = [
    *("127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1"),
    *("169.254.169.254", "100.64.0.1", "192.0.0.1", "198.18.0.1", "224.0.0.251", "240.0.0.1"),
    *("255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12:3456::1"),
    *("fec0::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1"),
    *("64:ff9b:1::1", "2002:7f00:1::", "2001:0:7f00:1::", "2001:db8::1", "::127.0.0.1", "name"),
]


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_that_are_nobodys_on_the_internet(address: str) -> None:
    """Trap 40."""
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", PUBLIC, "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_addresses_of_the_internet(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.0.0.5"])
@pytest.mark.parametrize("named", [True, False], ids=["by name", "by address"])
async def test_links_into_the_gateways_own_network_are_refused(
    address: str, named: bool, autojump_clock: MockClock
) -> None:
    """Trap 40. Nothing is connected to, and the client hears nothing of what is there."""
    hidden = "secret.test" if named else address
    async with _world({"GET /cat": Imitated(PNG)}, {"secret.test": [[address]]}, at=[address]) as (
        world,
        images,
        _,
    ):
        got = await _ask(world, f"http://{hidden}/cat")
        assert got.status_code == 400
        message = got.json()["error"]["message"]
        assert message.startswith(f"image 1 of the request, linked as 'http://{hidden}/cat'")
        assert "not public" in message
        assert not images.requests
        assert not [each for each in world.sandbox.requests if each.path == "/api/chat"]


async def test_one_private_address_among_public_ones_is_enough(autojump_clock: MockClock) -> None:
    async with _world({"GET /cat": Imitated(PNG)}, {"mixed.test": [[PUBLIC, "10.0.0.1"]]}) as (
        world,
        images,
        _,
    ):
        assert (await _ask(world, "http://mixed.test/cat")).status_code == 400
        assert not images.requests


async def test_a_name_can_not_change_its_mind_after_it_was_checked(
    autojump_clock: MockClock,
) -> None:
    """DNS rebinding: what is connected to is the address that was looked at, once."""
    async with _world(
        {"GET /cat": Imitated(PNG)}, {"turncoat.test": [[PUBLIC], ["127.0.0.1"]]}
    ) as (world, images, names):
        assert (await _ask(world, "http://turncoat.test/cat")).status_code == 200
        assert names.asked == ["turncoat.test"]
        assert (await _ask(world, "http://turncoat.test/cat")).status_code == 400
        assert len(images.requests) == 1


@pytest.mark.parametrize(
    "location",
    [
        *(
            "http://127.0.0.1/cat",
            "//localhost.test/cat",
            "http://169.254.169.254/latest/meta-data",
        ),
        *(
            "file:///etc/passwd",
            "gopher://pictures.test/",
            "http://[",
            "http://u:p@pictures.test/x",
        ),
    ],
)
async def test_redirects_lead_no_further_than_links(
    location: str, autojump_clock: MockClock
) -> None:
    """Trap 40."""
    onward = Imitated(b"", status=302, headers={"location": location})
    async with _world(
        {"GET /cat": onward, "GET /x": Imitated(PNG)},
        {"localhost.test": [["127.0.0.1"]]},
        at=[PUBLIC, "127.0.0.1", "169.254.169.254"],
    ) as (world, images, _):
        got = await _ask(world, "http://pictures.test/cat")
        assert got.status_code == 400
        assert len(images.requests) == 1


async def test_a_few_redirects_are_followed(autojump_clock: MockClock) -> None:
    def onward(to: str) -> Imitated:
        return Imitated(b"moved", status=301, headers={"location": to})

    answers = {
        "GET /1": onward("/2"),
        "GET /2": onward("http://pictures.test/3"),
        "GET /3": onward("cat#top"),
        "GET /cat": Imitated(PNG),
        "GET /round": onward("/round"),
    }
    async with _world(answers) as (world, images, _):
        assert (await _ask(world, "http://pictures.test/1")).status_code == 200
        images.requests.clear()
        got = await _ask(world, "http://pictures.test/round")
        assert got.status_code == 400
        assert len(images.requests) == 4


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Imitated(b"<html>", "image/png"), "no image"),
        (Imitated(b"%PDF-1.7 is no image", "image/png"), "no image"),
        (Imitated(b"", "image/png"), "no image"),
        (Imitated(PNG, status=404), "status 404"),
        (Imitated(gzip.compress(PNG), headers={"content-encoding": "gzip"}), "no image"),
        (Imitated((PNG[:20], PNG[20:]), is_cut=True), "broke off"),
        (Imitated((PNG,), pause=60), "within 10 seconds"),
        (Imitated((PNG,) + (bytes(50_000),) * 30), "bytes together"),
        (Imitated(PNG + bytes(1_100_000)), "bytes together"),
    ],
)
async def test_what_is_no_image_to_be_had_is_told(
    answer: Imitated, said: str, autojump_clock: MockClock
) -> None:
    async with _world({"GET /cat": answer}, images={"max_bytes": 1_000_000}) as (world, _, _):
        got = await _ask(world, "http://pictures.test/cat")
        assert got.status_code == 400
        error = got.json()["error"]
        assert said in error["message"]
        assert (error["param"], error["code"]) == ("messages", "unsupported_image_source")
        assert await world.is_at_rest()
        assert world.gateway.linked_images.budget.lent == 0


async def test_the_images_of_one_request_have_one_limit(autojump_clock: MockClock) -> None:
    big = PNG + bytes(400_000)
    async with _world(
        {f"GET /{n}": Imitated(big) for n in range(3)}, images={"max_bytes": 1_000_000}
    ) as (world, _, _):
        links = [f"http://pictures.test/{n}" for n in range(3)]
        assert (await _ask(world, *links[:2])).status_code == 200
        assert (await _ask(world, *links)).status_code == 400
        many = [f"http://pictures.test/0?{n}" for n in range(40)]
        assert "link to 32 images" in (await _ask(world, *many)).text


async def test_fetching_can_be_switched_off(autojump_clock: MockClock) -> None:
    async with _world({"GET /cat": Imitated(PNG)}, images={"links": "refuse"}) as (
        world,
        images,
        _,
    ):
        got = await _ask(world, "http://pictures.test/cat")
        assert got.status_code == 400
        assert "inline images" in got.json()["error"]["message"]
        assert not images.requests


async def test_who_follows_links_serves_where_the_gateway_can_not_fetch(
    autojump_clock: MockClock,
) -> None:
    async with _world(
        {},
        providers={"up": OLLAMA, "other": OPENAI},
        targets=["up/sandbox-chat", "other/sandbox-chat"],
    ) as (world, _, _):
        got = await _ask(world, "http://pictures.test/gone")
        assert got.status_code == 200
        assert got.headers["x-forebay-target"] == "other/sandbox-chat"


async def test_claude_gets_images_without_tls_inline_and_follows_other_links_itself(
    autojump_clock: MockClock,
) -> None:
    """Trap 40. Its API refuses links that are not https."""
    async with _world({"GET /cat": Imitated(PNG)}, providers={"up": CLAUDE}) as (world, images, _):
        plain, secured = "http://pictures.test/cat", "https://pictures.test/dog"
        got = await _ask(world, plain, secured)
        assert got.status_code == 200, got.text
        (request,) = [each for each in world.sandbox.requests if each.path == "/v1/messages"]
        sent = json.loads(request.body)["messages"][0]["content"]
        sources = [block["source"] for block in sent if block["type"] == "image"]
        assert sources == [
            {"type": "base64", "media_type": "image/png", "data": PNG_TEXT},
            {"type": "url", "url": secured},
        ]
        assert len(images.requests) == 1
        assert world.gateway.linked_images.budget.lent == 0


async def test_claudes_own_clients_hear_of_links_what_claude_says(
    autojump_clock: MockClock,
) -> None:
    """Their bytes go through as they are."""
    async with _world({"GET /cat": Imitated(PNG)}, providers={"up": CLAUDE}) as (world, images, _):
        link = {"type": "url", "url": "http://pictures.test/cat"}
        ask = {"role": "user", "content": [{"type": "image", "source": link}]}
        await world.client.post(
            f"{GATEWAY}/v1/messages",
            json={"model": "fast", "max_tokens": 20, "messages": [ask]},
            headers={"anthropic-version": "2023-06-01"},
        )
        (request,) = [each for each in world.sandbox.requests if each.path == "/v1/messages"]
        assert json.loads(request.body)["messages"] == [ask]
        assert not images.requests


async def test_an_image_without_tls_that_can_not_be_had_is_refused_for_claude(
    autojump_clock: MockClock,
) -> None:
    async with _world({}, providers={"up": CLAUDE}) as (world, _, _):
        got = await _ask(world, "http://pictures.test/gone")
        assert got.status_code == 400
        assert "http://pictures.test/gone" in got.json()["error"]["message"]
    async with _world({}, providers={"up": CLAUDE}, images={"links": "refuse"}) as (world, _, _):
        got = await _ask(world, "http://pictures.test/gone")
        assert got.status_code == 400
        assert "https" in got.json()["error"]["message"]


async def test_images_are_fetched_before_a_permit_is_taken(autojump_clock: MockClock) -> None:
    slow = Imitated((PNG,), pause=8)
    one_at_a_time = {**OLLAMA, "limits": {"concurrency": 1}}
    async with _world({"GET /cat": slow}, providers={"up": one_at_a_time}) as (world, _, _):
        done: list[str] = []

        async def ask(name: str, *urls: str) -> None:
            assert (await _ask(world, *urls)).status_code == 200
            done.append(name)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, "with a link", "http://pictures.test/cat")
            await trio.sleep(1)
            nursery.start_soon(ask, "without")
        assert done == ["without", "with a link"]


async def test_a_client_that_leaves_ends_the_fetching(autojump_clock: MockClock) -> None:
    endless = Imitated((PNG, *(bytes(10),) * 100), pause=1)
    async with _world({"GET /cat": endless}) as (world, images, _):
        with trio.move_on_after(4):
            await _ask(world, "http://pictures.test/cat")
        await trio.sleep(2)
        assert images.cut_off == 1
        assert await world.is_at_rest()
        assert world.gateway.linked_images.budget.lent == 0


async def test_over_real_sockets_only_what_a_test_exempts_is_called() -> None:
    """The default sees through every way of writing this machine's own address."""
    images = Imitation({"GET /cat": Imitated(PNG)})
    serve = partial(trio.serve_tcp, images.serve, 0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        listeners: list[trio.SocketListener] = await nursery.start(serve)
        port = listeners[0].socket.getsockname()[1]
        with trio.fail_after(10):
            for host in ("127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"):
                with pytest.raises(LinkRefused):
                    await ImageFetcher().fetch(
                        f"http://{host}:{port}/cat", allowance=Allowance(10_000), seconds=5
                    )
            assert not images.requests
            exempted = ImageFetcher(exempt=frozenset({"127.0.0.1"}))
            image = await exempted.fetch(
                f"http://127.0.0.1:{port}/cat", allowance=Allowance(10_000), seconds=5
            )
        assert (image.base64, image.media_type) == (PNG_TEXT, "image/png")
        nursery.cancel_scope.cancel()
