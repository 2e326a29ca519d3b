"""A rollout under test: both cohorts of a process that a test serves by hand, and a keeper that looks when told to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from flag_support import Site
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from scrapes import Served
from support import Recorder
from waiting import until

from plugins.canary import CanaryPlugin
from plugins.canary.keeper import Keeper
from plugins.canary.phases import Phase
from plugins.canary.rollout import Finding, Plan, Rollout
from plugins.canary.watcher import Report, Watcher
from plugins.flags import FlagsPlugin
from plugins.metrics import Metrics
from rom_core.concurrency.clock import FakeClock
from rom_core.events import CanaryAborted, CanaryChanged
from rom_core.flags import Author
from rom_core.gate import Scrape, Thresholds
from rom_core.runtime import Runtime
from rom_core.store.address import address_of
from rom_core.store.base import Store
from rom_core.store.opening import open_store
from rom_core.store.setup import owners
from rom_core.store.sharing import VERSIONS_TOPIC, notify

ANA = Author("ana", "looks good")
HOUR = 3600.0
PLAN = Plan(
    {"flags": {"MAX_TOKENS": 50}, "include": [], "salt": ""},
    (Phase(10, 2 * HOUR), Phase(50, 4 * HOUR), Phase(100, 24 * HOUR)),
    Thresholds(),
    600.0,
)
BLOCK = {"flags": {"MAX_TOKENS": 50}}


class World:
    """Both cohorts of one process, and the rollout that looks at them every ten minutes."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.canary, self.stable = Served(cohort="canary"), Served()
        self.rollout = Rollout(PLAN, self.clock, "ana", "go-live")
        self.watcher = Watcher("process-1")
        self.reports: dict[str, Report] = {}

    def look(self, *, fails: bool = False) -> Finding | None:
        """Look now, or try to."""
        at = self.clock.monotonic()
        values = {**self.stable.scrape(at).values, **self.canary.scrape(at).values}
        scrape, of = None if fails else Scrape(at, values), (self.rollout.id, self.rollout.window)
        self.reports[self.watcher.instance] = self.watcher.look(*of, PLAN.interval, scrape)
        finding = self.rollout.look(list(self.reports.values()), {self.watcher.instance})
        self.watcher.follow(self.rollout.id, self.rollout.window, PLAN.interval, scrape)
        return finding

    def watch(self, hours: float, ok: int = 0, error: int = 0, stable_error: int = 0) -> list[str]:
        """So many hours with so many turns of the canary in each ten minutes; what was found."""
        found = [self.look()]
        for _ in range(round(hours * 6)):
            self.canary.serve(ok)
            self.canary.serve(error, status="error")
            self.stable.serve(100)
            self.stable.serve(stable_error, status="error")
            self.clock.advance(600)
            found.append(self.look())
        return [finding.action for finding in found if finding is not None]

    def restart(self, *, closed: bool) -> None:
        """Another process goes on with what was kept: other counters, another monotonic clock."""
        if closed:
            self.reports[self.watcher.instance] = self.watcher.report(self.rollout.id, self.rollout.window, closed=True)
        self.watcher = Watcher(f"{self.watcher.instance}+")
        kept = json.loads(json.dumps(self.rollout.as_dict()))
        self.clock = FakeClock(start=5.0)
        self.canary, self.stable = Served(began=2000.0, cohort="canary"), Served(began=2000.0)
        self.rollout = Rollout.of(kept, self.clock)


class _Exposed(Collector):
    """What a text says, as a registry holds it."""

    def __init__(self, text: Callable[[], str]) -> None:
        self._text = text

    def collect(self) -> Iterable[Metric]:
        return text_string_to_metric_families(self._text())


class Bench:
    """Processes one after another on one folder, each with a keeper that looks when told to."""

    def __init__(self, root: Path, url: str = "") -> None:
        """Its store is rom.db in `state`, or behind `url`."""
        self.site = Site(root)
        address = address_of(url, "state", root)
        self.site.database = lambda catalogue: open_store(address, owners(catalogue), lambda: 0.0)
        self._begun: Store | None = None
        self.runtime: Runtime
        self.site.write(
            '[default]\nBEDROCK_ENABLED = true\nMAX_TOKENS = 1000\nSTATE_DIR = "state"\nCANARY_INTERVAL_SECONDS = 300\n'
            'CANARY_PHASES = ["10%:10m", "100%:10m"]\n'
        )
        self.site.environ["RECORDER_ENABLED"] = "true"
        self.served = World()
        self.start()

    def start(self) -> None:
        """A process that starts."""
        if self._begun is not None:
            self.runtime.fleet.stop()
            # It is waited for only so long; one that has not left yet would be taken for another instance.
            leaving = getattr(self.runtime.fleet, "_thread", None)
            assert leaving is None or until(lambda: not leaving.is_alive())
            self._begun.close()
        self.recorder, self.plugin = Recorder(), CanaryPlugin()
        self.site.plugins = {
            "recorder": self.recorder,
            "flags": FlagsPlugin(),
            "canary": self.plugin,
            "metrics": Metrics(),
        }
        self.runtime, self.flags = self.site.start()
        self._begun = self.runtime.store
        self.runtime.registry.register(_Exposed(self._text))
        # By hand: the looks of a test are its own.
        self.keeper._looking.begin = lambda: None  # type: ignore[method-assign]
        self.runtime.fleet.start()
        assert until(self._leads_when_told)
        self.keeper.start(self.runtime)

    def _leads(self) -> bool:
        return self.runtime.fleet.term is not None

    def _leads_when_told(self) -> bool:
        """Whether it leads, told if need be that something is new.

        A lease in a database is renewed by a thread that waits for time to pass, and a test's clock stands still: the
        one before may still hold it when it asks first, and one that asks while time passes has asked too early.
        """
        if self._leads():
            return True
        self.store.write(lambda connection: notify(connection, VERSIONS_TOPIC, 0))
        return until(self._leads, 0.2)

    @property
    def store(self) -> Store:
        """Where the plugin keeps its tables."""
        assert self.runtime.store is not None
        return self.runtime.store

    @property
    def keeper(self) -> Keeper:
        """The plugin's."""
        return self.plugin.keeper

    def _text(self) -> str:
        return self.served.stable.text + self.served.canary.text

    def look(self, times: int = 1, ok: int = 200, error: int = 0) -> None:
        """Looks five minutes apart, with so many turns of the canary before each."""
        for _ in range(times):
            self.served.canary.serve(ok)
            self.served.canary.serve(error, status="error")
            self.runtime.clock.advance(300)  # type: ignore[attr-defined]
            assert until(self._leads_when_told)
            self.keeper.look()

    @property
    def told(self) -> list[str]:
        """Events of the rollout, in order."""
        events = [event for event in self.recorder.events if isinstance(event, CanaryChanged | CanaryAborted)]
        return [event.action if isinstance(event, CanaryChanged) else "aborted" for event in events]

    @property
    def percent(self) -> int | None:
        """Share of the canary in force."""
        canary = self.runtime.current.canary
        return None if canary is None else canary.percent
