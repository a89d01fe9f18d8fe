"""A whole gateway inside a Trio app, without a server."""

import sys

import trio

from forebay.actors.gateway import open_gateway
from forebay.protocol.canonical.events import TextDelta
from forebay.protocol.canonical.requests import ChatRequest, user_turn


async def main(base_url: str) -> None:
    config = {
        "providers": {
            "up": {"kind": "openai_compatible", "base_url": base_url, "limits": {"rpm": 600}}
        },
        "models": {"fast": {"targets": ["up/sandbox-chat"]}},
    }
    request = ChatRequest(model="fast", turns=(user_turn("Where does the water wait?"),))
    async with open_gateway(config) as gateway:
        async for event in gateway.chat(request):
            if isinstance(event, TextDelta):
                print(event.text, end="", flush=True)
    print()


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
