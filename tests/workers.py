"""How tests are spread over processes: how many of them, and in which order, so that none waits for another's end."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence

import pytest

MOST_BESIDE = 4
"""No more workers than cores and this: each takes several hundred MB."""


def number_of_workers() -> int:
    """Two for each core: most of a long test's time is waiting, for a process to start or a limit to run out."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores + min(cores, MOST_BESIDE)


def dealt(items: Sequence[pytest.Item], workers: int) -> list[pytest.Item]:
    """The same tests, module by module, in an order for `--dist worksteal`: every worker begins with long ones.

    That scheduler gives each worker an equal run of tests, and takes from the end of a run for whoever has none left.
    Long are modules in which a test has asked for a timeout of its own, then those that start processes, in tests/e2e.
    """
    modules = [list(group) for _, group in itertools.groupby(items, key=lambda item: item.path)]
    ranks = [_rank(module) for module in modules]
    runs: list[list[pytest.Item]] = [[] for _ in range(workers)]
    first = [module for wanted in (0, 1) for module, rank in zip(modules, ranks, strict=True) if rank == wanted]
    for number, module in enumerate(first):
        runs[number % workers] += module
    rest = itertools.chain.from_iterable(module for module, rank in zip(modules, ranks, strict=True) if rank == 2)
    left = len(items)
    for number, run in enumerate(runs):
        size = left // (workers - number)
        run += itertools.islice(rest, max(0, size - len(run)))
        left -= size
    return [*itertools.chain.from_iterable(runs), *rest]


def _rank(module: Sequence[pytest.Item]) -> int:
    if any(item.get_closest_marker("timeout") for item in module):
        return 0
    return 1 if "e2e" in module[0].path.parts else 2
