"""Plain actors: one kitchen, guests with little patience, and a look at the tree."""

from dataclasses import dataclass

import trio

from forebay.actors.kernel import Actor, Message, open_actor_system


@dataclass(frozen=True)
class Cook(Message[str]):
    dish: str
    seconds: float


class Kitchen(Actor[Cook]):
    async def handle(self, message: Cook) -> str:
        self.context.note = f"last on the stove: {message.dish}"
        await trio.sleep(message.seconds)
        return f"{message.dish} is served"


async def main() -> None:
    async with open_actor_system("restaurant") as system:
        kitchen = await system.start(Kitchen, name="kitchen", capacity=2)
        for order in (Cook("soup", 0.1), Cook("stew", 3600), Cook("salad", 0.1)):
            with trio.move_on_after(0.5) as patience:
                print(await kitchen.ask(order))
            if patience.cancelled_caught:
                print(f"the guest has left, and the {order.dish} is off the stove")
        for place in system.tree().children:
            print(f"{place.path} is {place.state}, {place.note}")


if __name__ == "__main__":
    trio.run(main)
