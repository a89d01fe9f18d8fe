"""A place in the tree of actors: its name, its state and its numbers, and who is there now.

Plain data. The mailbox and the task of a place belong to its supervisor, or to the task that was
adopted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import ContextVar
from itertools import islice

from forebay.actors.kernel._mailbox import AnyMailbox
from forebay.actors.kernel._tree import ActorSnapshot, ActorState


class Node:
    """One place in the tree. Compared by identity."""

    __slots__ = (
        "capacity",
        "children",
        "handled",
        "kind",
        "layer",
        "mailbox",
        "name",
        "note",
        "parent",
        "restarts",
        "state",
    )

    def __init__(
        self,
        name: str,
        parent: Node | None,
        *,
        kind: str,
        capacity: int = 0,
        layer: int | None = None,
    ) -> None:
        self.name = name
        self.parent = parent
        self.kind = kind
        self.capacity = capacity
        self.layer = layer
        self.state = ActorState.STARTING
        self.note = ""
        self.mailbox: AnyMailbox | None = None
        self.children: dict[str, Node] = {}
        self.handled = 0
        self.restarts = 0

    def __repr__(self) -> str:
        return f"<Node {self.path} {self.state}>"

    @property
    def path(self) -> str:
        """The names from the root down to here, joined with ``/``."""
        return "/".join([node.name for node in self.upward()][::-1])

    def upward(self) -> Iterator[Node]:
        """This node, its parent, and so on up to the root."""
        node: Node | None = self
        while node is not None:
            yield node
            node = node.parent

    def enter(self) -> None:
        """Take the place under the parent.

        Raises:
            ValueError: the name is empty, has a ``/``, or is taken there.
        """
        assert self.parent is not None
        siblings = self.parent.children
        if not self.name or "/" in self.name:
            raise ValueError(f"name: {self.name!r} is empty or has a '/' in it; choose another")
        if self.name in siblings:
            raise ValueError(f"name: {siblings[self.name].path!r} is taken; choose another")
        siblings[self.name] = self

    def leave(self) -> None:
        """Give the place under the parent back."""
        assert self.parent is not None
        if self.parent.children.get(self.name) is self:
            del self.parent.children[self.name]

    def snapshot(self, limit: int | None) -> ActorSnapshot:
        """This place and all below it, with at most ``limit`` children listed of each."""
        return self._snapshot(self.path, limit)

    def _snapshot(self, path: str, limit: int | None) -> ActorSnapshot:
        mailbox = self.mailbox
        return ActorSnapshot(
            name=self.name,
            path=path,
            kind=self.kind,
            state=self.state,
            note=self.note,
            layer=self.layer,
            depth=0 if mailbox is None else mailbox.depth,
            capacity=self.capacity,
            blocked_senders=0 if mailbox is None else mailbox.blocked_senders,
            handled=self.handled,
            restarts=self.restarts,
            child_count=len(self.children),
            children=tuple(
                child._snapshot(f"{path}/{name}", limit)
                for name, child in islice(self.children.items(), limit)
            ),
        )


CURRENT_NODE: ContextVar[Node | None] = ContextVar("forebay_current_actor", default=None)
"""The place that the running task works for. Tasks inherit it from the task that starts them."""
