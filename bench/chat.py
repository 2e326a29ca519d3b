"""/api/chat beside a bare Falcon + waitress + boto3 handler that streams upstream likewise: whole and streamed."""

from __future__ import annotations

import statistics

from bench.harness import Figures, bare_url, bedrock, measure, process, rom_environ, rom_url

ROUNDS = 5
CASES: dict[str, tuple[dict[str, object], int]] = {
    "whole answer": ({"message": "[[say=ok]]"}, 400),
    "stream of 100 events": ({"message": "[[length=100]] conte", "stream": True}, 160),
}


def main() -> None:
    """Measure in turns, so that a slow moment of the machine meets both, and print medians and ratios."""
    arguments, url_of = bedrock()
    with (
        process(arguments, url_of) as (endpoint, _),
        process(["-m", "bench.bare", endpoint], bare_url) as (bare, _),
        process(["-m", "rom_core", "serve"], rom_url, **rom_environ(endpoint)) as (rom, _),
    ):
        for name, (body, requests) in CASES.items():
            rounds = [
                (measure(bare, body, requests=requests, clients=8), measure(rom, body, requests=requests, clients=8))
                for _ in range(ROUNDS)
            ]
            _report(name, _median([r[0] for r in rounds]), _median([r[1] for r in rounds]))


def _report(name: str, bare: Figures, rom: Figures) -> None:
    print(f"\n{name}")
    print(f"{'':14}{'p50 ms':>10}{'p99 ms':>10}{'per s':>10}")
    for label, figures in (("bare handler", bare), ("ROM Agent", rom)):
        print(f"{label:14}{figures.p50_ms:10.2f}{figures.p99_ms:10.2f}{figures.rate:10.0f}")
    print(f"{'ratio':14}{rom.p50_ms / bare.p50_ms:10.2f}{rom.p99_ms / bare.p99_ms:10.2f}{rom.rate / bare.rate:10.2f}")


def _median(figures: list[Figures]) -> Figures:
    return Figures(*(statistics.median(getattr(f, field) for f in figures) for field in ("p50_ms", "p99_ms", "rate")))


if __name__ == "__main__":
    main()
