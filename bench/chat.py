"""/api/chat beside a bare Falcon + waitress + boto3 handler that streams upstream likewise: whole and streamed.

All plugins are off, but for the lines that say otherwise: the bare handler has none.
"""

from __future__ import annotations

from bench.harness import Timings, bare_url, bedrock, compare, first_text, process, rom_environ, rom_url

CONNECTIONS = 6
WHOLE: dict[str, object] = {"message": "[[say=ok]]"}
# Of a size that tools of coding agents and of MCP servers have: some 700 bytes each.
TOOLS = [
    {
        "name": f"tool_{number}",
        "description": "Looks a record up in the register and returns what is known of it, newest first. " * 3,
        "input_schema": {
            "type": "object",
            "properties": {
                "query": {"type": "string", "description": "words that the record holds"},
                "since": {"type": "string", "format": "date", "description": "no older than this day"},
                "limit": {"type": "integer", "minimum": 1, "maximum": 100},
                "kinds": {"type": "array", "items": {"type": "string", "enum": ["act", "case", "person"]}},
            },
            "required": ["query"],
        },
    }
    for number in range(20)
]
CALL: dict[str, object] = {"message": '[[tool=tool_7]] [[input={"query": "ok"}]] procure', "tools": TOOLS}
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
        _report(
            "a call of one of the client's 20 tools", *compare([bare, rom], CALL, requests=600, clients=CONNECTIONS)
        )
        _report("stream of 100 events", *compare([bare, rom], STREAM, requests=600, clients=CONNECTIONS))
        _report_first("first text, the model never pauses", *first_text([bare, rom], STREAM, requests=300))
    with (
        process(arguments, url_of) as (endpoint, _),
        process(["-m", "bench.bare", endpoint], bare_url) as (bare, _),
        process(["-m", "rom_core", "serve"], rom_url, **rom_environ(endpoint, plugins=True)) as (rom, _),
    ):
        _report("whole answer, all plugins on", *compare([bare, rom], WHOLE, requests=1200, clients=CONNECTIONS))
        _report(
            "a call of one of the client's 20 tools, all plugins on",
            *compare([bare, rom], CALL, requests=600, clients=CONNECTIONS),
        )


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
