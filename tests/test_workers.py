"""Tests are dealt to the workers of a run: all of them once, long ones first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from workers import dealt, number_of_workers


@dataclass(frozen=True)
class Item:
    """A test, as far as it matters here."""

    path: Path
    number: int
    slow: bool = False

    def get_closest_marker(self, name: str) -> Any:
        """Whether it has a timeout of its own."""
        return (self.slow and name == "timeout") or None


def module(name: str, count: int, *, slow: bool = False) -> list[Any]:
    """Tests of one file."""
    return [Item(Path(name), number, slow and number == 1) for number in range(count)]


def test_every_worker_begins_with_a_long_module() -> None:
    """Each run of the scheduler's first deal begins with modules that are long, and no module of these is divided."""
    clients, chat, load = module("clients/test_a.py", 5, slow=True), module("e2e/test_b.py", 7), module("e2e/c.py", 3)
    short = module("plugins/test_d.py", 61)
    wheel = module("rom_core/test_e.py", 4, slow=True)
    items = [*clients, *chat, *load, *short, *wheel]
    order = dealt(items, 4)
    assert sorted(order, key=items.index) == items
    runs = [order[start : start + len(items) // 4] for start in range(0, len(items), len(items) // 4)][:4]
    assert [run[0] for run in runs] == [clients[0], wheel[0], chat[0], load[0]]
    for long in (clients, wheel, chat, load):
        assert any(long == [item for item in run if item.path == long[0].path] for run in runs)


@pytest.mark.parametrize("workers", [1, 3, 8])
@pytest.mark.parametrize("short", [0, 1, 50])
def test_no_test_is_lost_or_doubled(workers: int, short: int) -> None:
    """However few tests there are, and however uneven."""
    items = [*module("e2e/test_a.py", 9), *module("e2e/test_b.py", 1), *module("plugins/test_c.py", short)]
    assert sorted(dealt(items, workers), key=items.index) == items


def test_auto_means_our_number(pytestconfig: pytest.Config) -> None:
    """`-n auto` asks here."""
    assert pytestconfig.hook.pytest_xdist_auto_num_workers(config=pytestconfig) == number_of_workers()


def test_more_workers_than_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice as many, on a large machine four more: memory is no less scarce there."""
    for cores, workers in ((1, 2), (2, 4), (4, 8), (16, 20)):
        monkeypatch.setattr("os.sched_getaffinity", lambda _, cores=cores: set(range(cores)), raising=False)
        assert number_of_workers() == workers
