"""Memory, idle and with 10 open streams, and the time from start to the first answer, beside the bare handler."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable

from bench.harness import Client, bare_url, bedrock, memory_mb, process, rom_environ, rom_url

ROUNDS = 3
STREAMS = 10


def main() -> None:
    """Print one line for each."""
    arguments, url_of = bedrock()
    with process(arguments, url_of) as (endpoint, _):
        print(f"\n{'footprint':14}{'start s':>10}{'idle MB':>10}{'10 streams':>12}")
        _measure("bare handler", ["-m", "bench.bare", endpoint], bare_url, {})
        _measure("ROM Agent", ["-m", "rom_core", "serve"], rom_url, rom_environ(endpoint))


def _measure(label: str, arguments: list[str], url_of: Callable[[str], str | None], environ: dict[str, str]) -> None:
    starts, idle, busy = [], [], []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        with process(arguments, url_of, **environ) as (url, pid):
            client = Client(url, {"message": "[[say=ok]]"})
            client.ask()
            starts.append(time.perf_counter() - began)
            client.close()
            idle.append(memory_mb(pid))
            busy.append(_with_streams(url, pid))
    print(f"{label:14}{statistics.median(starts):10.2f}{statistics.median(idle):10.0f}{statistics.median(busy):12.0f}")


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
