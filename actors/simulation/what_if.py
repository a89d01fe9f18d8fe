"""Loads that differ: more of it, more users."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from forebay.actors.simulation.load import Load, Traffic


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """What is different. None: nothing."""

    scale: float | None = None
    """So many times the rates; where users wait for answers, so many times the users."""
    users: int | None = None
    """So many users in all traffic that has some."""
    more_users: int | None = None

    def applied(self, load: Load) -> Load:
        """``load`` with the differences."""
        if self.scale is not None:
            scale = self.scale
            load = _with_traffic(load, lambda traffic: _scaled(traffic, scale))
        if self.users is not None:
            users = self.users
            load = _with_traffic(load, lambda traffic: _with_users(traffic, users))
        if self.more_users is not None:
            more = self.more_users
            load = _with_traffic(
                load, lambda traffic: _with_users(traffic, max(0, traffic.users + more))
            )
        return load


def _with_traffic(load: Load, change: Callable[[Traffic], Traffic]) -> Load:
    traffic = {name: change(each) for name, each in load.traffic.items()}
    return load.model_copy(update={"traffic": traffic})


def _scaled(traffic: Traffic, scale: float) -> Traffic:
    if traffic.rate is not None:
        return traffic.model_copy(update={"rate": traffic.rate * scale})
    if traffic.phases:
        phases = tuple(
            phase.model_copy(update={"rate": phase.rate * scale}) for phase in traffic.phases
        )
        return traffic.model_copy(update={"phases": phases})
    if traffic.clients:
        return traffic.model_copy(update={"at_once": max(1, round(traffic.at_once * scale))})
    return _with_users(traffic, max(1, round(traffic.users * scale)))


def _with_users(traffic: Traffic, users: int) -> Traffic:
    """Users of a traffic with a rate bring their part of it with them."""
    if not traffic.users or (not users and not traffic.clients):
        return traffic
    scale = (len(traffic.clients) + users) / (len(traffic.clients) + traffic.users)
    changed = traffic.model_copy(update={"users": users})
    return changed if changed.think_time is not None else _scaled(changed, scale)
