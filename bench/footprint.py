"""Memory, idle and with 10 open streams, and the time from start to the first answer, beside the bare handler."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable

from bench.harness import Client, bare_url, bedrock, memory_mb, process, rom_environ, rom_url

ROUNDS = 7
STREAMS = 10


def main() -> None:
    """Print one line for each; started in turns, so that a slow moment of the machine meets both."""
    arguments, url_of = bedrock()
    with process(arguments, url_of) as (endpoint, _):
        cases = {
            "bare handler": (["-m", "bench.bare", endpoint], bare_url, {}),
            "ROM Agent": (["-m", "rom_core", "serve"], rom_url, rom_environ(endpoint)),
        }
        rounds = [{label: _started(*case) for label, case in cases.items()} for _ in range(ROUNDS)]
        print(f"\n{'footprint':14}{'start s':>10}{'idle MB':>10}{'10 streams':>12}")
        for label in cases:
            start, idle, busy = (
                statistics.median(figures) for figures in zip(*(r[label] for r in rounds), strict=True)
            )
            print(f"{label:14}{start:10.2f}{idle:10.0f}{busy:12.0f}")


def _started(
    arguments: list[str], url_of: Callable[[str], str | None], environ: dict[str, str]
) -> tuple[float, float, float]:
    """Seconds to the first answer; MB then, and with open streams."""
    began = time.perf_counter()
    with process(arguments, url_of, **environ) as (url, pid):
        client = Client(url, {"message": "[[say=ok]]"})
        client.ask()
        seconds = time.perf_counter() - began
        client.close()
        return seconds, memory_mb(pid), _with_streams(url, pid)


def _with_streams(url: str, pid: int) -> float:
    body: dict[str, object] = {"message": "[[length=40]] [[delay=0.05]] conte", "stream": True}
    threads = [threading.Thread(target=Client(url, body).ask) for _ in range(STREAMS)]
    for thread in threads:
        thread.start()
    highest = 0.0
    while any(thread.is_alive() for thread in threads):
        highest = max(highest, memory_mb(pid))
        time.sleep(0.1)
    return highest


if __name__ == "__main__":
    main()
