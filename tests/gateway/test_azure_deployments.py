"""Azure's older paths: the deployment in the path, the version in the query."""

from __future__ import annotations

from imitation import Imitated, Imitation
from trio.testing import MockClock
from worlds import GATEWAY, open_world

from forebay.protocol.providers import PROFILES


def config(base_url: str) -> dict[str, object]:
    settings = {"kind": "azure_deployments", "base_url": base_url, "api_key": "the-key"}
    return {"providers": {"up": settings}, "models": {"draw": {"targets": ["up/our images/1"]}}}


async def test_other_apis_have_the_deployment_in_their_paths_too(
    autojump_clock: MockClock,
) -> None:
    path = "/openai/deployments/our%20images%2F1/images/generations?api-version=2024-10-21"
    up = Imitation({f"POST {path}": Imitated(b'{"created":1,"data":[]}')})
    made = config("http://up.test/openai")
    async with open_world(made, sandboxes={}, hosts={"up.test": up.serve}) as world:
        answer = await world.client.post(
            f"{GATEWAY}/v1/images/generations", json={"model": "draw", "prompt": "a mill"}
        )
        assert answer.status_code == 200, answer.text
        assert up.last.path == path
        assert up.last.headers["api-key"] == "the-key"


async def test_a_base_url_with_a_deployment_is_told_of(autojump_clock: MockClock) -> None:
    up = Imitation({})
    made = config("http://up.test/openai/deployments/mine/chat/completions")
    async with open_world(made, sandboxes={}, hosts={"up.test": up.serve}) as world:
        listing = world.gateway.providers["up"].listing
        await listing.first_try()
        assert "answered with status 404" in listing.describe()
        assert listing.describe().endswith("usually written as http://up.test/openai")


def test_all_paths_have_the_deployment_and_the_version() -> None:
    profile = PROFILES["azure_deployments"]
    for api in profile.paths:
        path = profile.path_of(api, "mine")
        assert path.startswith("/deployments/mine/")
        assert path.endswith("?api-version=2024-10-21")
