"""Take turns behind a provider's limits, and make the calls oneself."""

import trio

from forebay.actors.gateway import Client, RequestSize, open_gateway
from forebay.protocol.canonical.events import Usage

CONFIG = {
    "providers": {
        "up": {
            "kind": "openai_compatible",
            "base_url": "http://127.0.0.1:9/v1",
            "limits": {"concurrency": 2},
        }
    },
    "models": {"fast": {"targets": ["up/some-model"]}},
}


async def main() -> None:
    async with open_gateway(CONFIG) as gateway, trio.open_nursery() as nursery:

        async def ask(name: str, prompt: str) -> None:
            size = RequestSize(text_bytes=len(prompt))
            async with gateway.permit("fast", size=size, client=Client(name=name)) as permit:
                print(f"{name} may call {permit.target.name}")
                await trio.sleep(0.05)  # your own call
                permit.settle(Usage(input_uncached=12, output=34))

        for name in ("alice", "bob", "carol"):
            nursery.start_soon(ask, name, "Where does the water wait?")


if __name__ == "__main__":
    trio.run(main)
