"""What a plugin is given in hooks of the process: the runtime and the app, as far as a plugin may rely on them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from rom_core.concurrency.clock import Clock
from rom_core.concurrency.watchdog import Watchdog
from rom_core.plugin.snapshot import Snapshot
from rom_core.turn_values import Event

if TYPE_CHECKING:
    from sqlalchemy import Connection

T = TypeVar("T")


class PluginStore(Protocol):
    """Transactions in the store. Both raise StoreUnavailable, after a few seconds at most.

    `action` gets a connection of SQLAlchemy, does nothing but use it, and may be carried out again after it failed.
    """

    def read(self, action: Callable[[Connection], T]) -> T:
        """What `action` returns; all that it reads is as it was at one moment."""

    def write(self, action: Callable[[Connection], T], *, copied: bool = False) -> T:
        """The same in a transaction that writes, durable when this returns.

        `copied`: the plugin's tables are (see `Tables.copied`), so that the good copy is renewed.
        """


class Runtime(Protocol):
    """The process: its clock, what it runs with, and whom it tells.

    `clock` gives time and chance. `watchdog` calls a function ten times a second while something runs. `draining` is
    set once the process shuts down; wait for it, never set it. One that an administrator has drained has it unset.
    """

    clock: Clock
    watchdog: Watchdog
    draining: threading.Event

    @property
    def current(self) -> Snapshot:
        """The snapshot in force: `current.settings` are the newest settings. Read it anew each time."""

    @property
    def store(self) -> PluginStore | None:
        """What outlives the process; None where there is nothing to keep it in, in a test, say."""

    @property
    def active_turns(self) -> int:
        """Turns that run at this moment."""

    def bedrock_enabled(self) -> bool:
        """The kill switch as it stands now."""

    def emit(self, event: Event) -> None:
        """Tell the observers of the snapshot in force."""


class PluginRoutes(Protocol):
    """The Falcon app as one plugin sees it: its routes answer 404 `plugin_disabled` while it is off."""

    @property
    def paths(self) -> tuple[str, ...]:
        """The templates of all routes of the process that have been added so far, sorted."""

    def add_route(self, path: str, resource: object, **options: Any) -> None:
        """As `falcon.App.add_route`; the resource's `auth` says who may use it.

        "key" is the default; then "open", "admin", and "token": who has the secret of the setting that `token_setting`
        names, everybody while it is empty. `scope_setting` names a setting, a list: only the API keys or admin tokens
        of these names may, "*" is all of them; the others get 403 `forbidden`. Each of the three may be a mapping by
        method: `auth = {"GET": "key", "POST": "admin"}`. A HEAD request is answered by `on_get` where there is no
        `on_head`. OPTIONS reaches the resource without authentication. Raises PluginError for anything else, a method
        that is not spoken for, a setting of another type, or a path or resource that is served already.
        """
