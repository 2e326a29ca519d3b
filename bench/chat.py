"""/api/chat beside a bare Falcon + waitress + boto3 handler that streams upstream likewise: whole and streamed."""

from __future__ import annotations

from bench.harness import Figures, bare_url, bedrock, compare, process, rom_environ, rom_url

CASES: dict[str, tuple[dict[str, object], int]] = {
    "whole answer": ({"message": "[[say=ok]]"}, 2400),
    "stream of 100 events": ({"message": "[[length=100]] conte", "stream": True}, 600),
}


def main() -> None:
    """Measure and print figures and ratios."""
    arguments, url_of = bedrock()
    with (
        process(arguments, url_of) as (endpoint, _),
        process(["-m", "bench.bare", endpoint], bare_url) as (bare, _),
        process(["-m", "rom_core", "serve"], rom_url, **rom_environ(endpoint)) as (rom, _),
    ):
        for name, (body, requests) in CASES.items():
            _report(name, *compare([bare, rom], body, requests=requests, clients=8))


def _report(name: str, bare: Figures, rom: Figures) -> None:
    print(f"\n{name}")
    print(f"{'':14}{'p50 ms':>10}{'p99 ms':>10}{'per s':>10}")
    for label, figures in (("bare handler", bare), ("ROM Agent", rom)):
        print(f"{label:14}{figures.p50_ms:10.2f}{figures.p99_ms:10.2f}{figures.rate:10.0f}")
    print(f"{'ratio':14}{rom.p50_ms / bare.p50_ms:10.2f}{rom.p99_ms / bare.p99_ms:10.2f}{rom.rate / bare.rate:10.2f}")


if __name__ == "__main__":
    main()
