"""/api/chat beside a bare Falcon + waitress + boto3 handler that streams upstream likewise: whole and streamed.

All plugins are off, but for the lines that say otherwise: the bare handler has none.
"""

from __future__ import annotations

from bench.harness import Timings, bare_url, bedrock, compare, first_text, process, rom_environ, rom_url

CONNECTIONS = 6
WHOLE: dict[str, object] = {"message": "[[say=ok]]"}
STREAM: dict[str, object] = {"message": "[[length=100]] conte", "stream": True}


def main() -> None:
    """Measure and print figures and ratios."""
    arguments, url_of = bedrock()
    with (
        process(arguments, url_of) as (endpoint, _),
        process(["-m", "bench.bare", endpoint], bare_url) as (bare, _),
        process(["-m", "rom_core", "serve"], rom_url, **rom_environ(endpoint)) as (rom, _),
    ):
        _report("whole answer", *compare([bare, rom], WHOLE, requests=2400, clients=CONNECTIONS))
        _report("stream of 100 events", *compare([bare, rom], STREAM, requests=600, clients=CONNECTIONS))
        _report_first("first text, the model never pauses", *first_text([bare, rom], STREAM, requests=300))
    with (
        process(arguments, url_of) as (endpoint, _),
        process(["-m", "bench.bare", endpoint], bare_url) as (bare, _),
        process(["-m", "rom_core", "serve"], rom_url, **rom_environ(endpoint, plugins=True)) as (rom, _),
    ):
        _report("whole answer, all plugins on", *compare([bare, rom], WHOLE, requests=1200, clients=CONNECTIONS))


def _report(name: str, bare: Timings, rom: Timings) -> None:
    print(f"\n{name}")
    print(f"{'':14}{'p50 ms':>10}{'p99 ms':>10}{'per s':>10}")
    for label, figures in (("bare handler", bare), ("ROM Agent", rom)):
        print(f"{label:14}{figures.p50_ms:10.2f}{figures.p99_ms:10.2f}{figures.rate:10.0f}")
    print(f"{'ratio':14}{rom.p50_ms / bare.p50_ms:10.2f}{rom.p99_ms / bare.p99_ms:10.2f}{rom.rate / bare.rate:10.2f}")


def _report_first(name: str, bare_ms: float, rom_ms: float) -> None:
    print(f"\n{name}\n{'':14}{'p50 ms':>10}")
    for label, figure in (("bare handler", bare_ms), ("ROM Agent", rom_ms), ("ratio", rom_ms / bare_ms)):
        print(f"{label:14}{figure:10.2f}")


if __name__ == "__main__":
    main()
