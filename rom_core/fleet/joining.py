"""The fleet that a process belongs to, as its store says."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from rom_core import __version__
from rom_core.concurrency.clock import Clock
from rom_core.fleet.instances import Fleet, Instance, SingleInstance, instance_id

if TYPE_CHECKING:
    from rom_core.flags import Flags


def fleet_of(flags: Flags | None, clock: Clock, version: Callable[[], int], draining: Callable[[], bool]) -> Fleet:
    """A fleet of one, unless the overrides of `flags` are in a database that others can share.

    `version` is that of the settings in force here.
    """
    began = clock.time()
    identity = Instance(instance_id(os.environ), __version__, 1, began, began)

    def myself(version: int) -> Instance:
        return dataclasses.replace(identity, version=version, seen=clock.time(), draining=draining())

    store = None if flags is None else flags.database
    if flags is None or store is None or store.kind != "postgresql":
        return SingleInstance(lambda: myself(version()))
    from rom_core.fleet.link import Link, PostgresLink
    from rom_core.fleet.member import Member

    url = store.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)

    def connect() -> Link:
        return PostgresLink(url)

    return Member(connect, lambda: myself(flags.stored_version), flags.catch_up, clock)
