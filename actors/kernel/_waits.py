"""Who may wait for whom, and who does.

Actors with bounded mailboxes deadlock when they wait in a circle. Two checks keep circles out.
:func:`check_place` is always on and costs two comparisons: nobody waits for itself, and where
layers were declared, waits go down only. :class:`WaitGraph` is for tests and debugging: it records
every wait between actors while it lasts, and refuses the one that would close a circle.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from forebay.actors.kernel._errors import UpwardWait, WaitCycle
from forebay.actors.kernel._node import CURRENT_NODE, Node


def check_place(waiter: Node, target: Node) -> None:
    """Refuse a wait that has the wrong direction, whether or not it would block today.

    Raises:
        UpwardWait: the target's layer is not below the waiter's.
    """
    above, below = waiter.layer, target.layer
    if above is not None and below is not None and above >= below:
        raise UpwardWait(waiter.path, above, target.path, below)


def check_not_below(target: Node) -> None:
    """Refuse to wait for the end of an actor that the running task is part of.

    Raises:
        WaitCycle: the running task works for the target, or for an actor below it.
    """
    current = CURRENT_NODE.get()
    if current is not None and target in current.upward():
        raise WaitCycle(
            (current.path, target.path),
            f"{current.path} can't wait for the end of {target.path}, which waits for its end",
        )


class WaitGraph:
    """The waits between actors of one system that go on now.

    It looks at actors, not tasks: an actor that handles several messages at once is one waiter.
    So it also refuses some circles that would have come undone by luck.
    """

    def __init__(self) -> None:
        self._targets: dict[Node, dict[Node, int]] = {}

    def __len__(self) -> int:
        return sum(sum(targets.values()) for targets in self._targets.values())

    @contextmanager
    def wait(self, waiter: Node, target: Node) -> Iterator[None]:
        """Record the wait for as long as the block lasts.

        Raises:
            WaitCycle: the target waits, directly or through others, for the waiter.
        """
        way_back = self._path(target, waiter)
        if way_back:
            raise WaitCycle(tuple(node.path for node in (waiter, *way_back)))
        targets = self._targets.setdefault(waiter, {})
        targets[target] = targets.get(target, 0) + 1
        try:
            yield
        finally:
            targets[target] -= 1
            if not targets[target]:
                del targets[target]
            if not targets:
                self._targets.pop(waiter, None)

    def _path(self, start: Node, goal: Node) -> list[Node]:
        """The waits that lead from one node to the other, both included; empty if none do."""
        came_from: dict[Node, Node | None] = {start: None}
        to_visit = [start]
        while to_visit:
            node = to_visit.pop()
            if node is goal:
                path: list[Node] = []
                step: Node | None = node
                while step is not None:
                    path.append(step)
                    step = came_from[step]
                return path[::-1]
            for following in self._targets.get(node, ()):
                if following not in came_from:
                    came_from[following] = node
                    to_visit.append(following)
        return []
