"""`rom gate` as a person or a pipeline calls it: exit codes, what it prints, what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable

import click
import pytest
from click.testing import CliRunner, Result
from scrapes import Served

from rom_core.cli.gate import gate
from rom_core.cli.values import Address, Duration, Share
from rom_core.concurrency.clock import Clock, FakeClock
from rom_core.gate import Scrape, ScrapeFailed

URL = ("--url", "http://127.0.0.1:1")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run the command on a fake clock, against a server that serves like this between two looks."""

    def run(*arguments: str, serve: Callable[[Served], None] = lambda server: server.serve(5)) -> Result:
        server = Served()

        def scraper(_url: str, clock: Clock, **_: object) -> Callable[[], Scrape]:
            def scrape() -> Scrape:
                serve(server)
                return server.scrape(clock.monotonic())

            return scrape

        monkeypatch.setattr("rom_core.concurrency.clock.SystemClock", FakeClock)
        monkeypatch.setattr("rom_core.ops.gate_sources.scraper", scraper)
        return CliRunner().invoke(gate, [*arguments])

    return run


def bad(server: Served) -> None:
    """Every turn fails."""
    server.serve(40, status="error")


def gone(_: Served) -> None:
    """Nobody answers."""
    raise ScrapeFailed("no connection")


def test_an_interruption_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks a Prometheus and loses patience must not read that the server failed."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("rom_core.ops.gate_sources.prometheus_figures", interrupted)
    result = CliRunner().invoke(gate, ["--prometheus", "http://127.0.0.1:2", "--json"])
    assert result.exit_code == 2
    assert json.loads(result.stdout)["outcome"] == "inconclusive"


def test_exit_codes_say_pass_fail_or_cannot_judge(run: Callable[..., Result]) -> None:
    """0, 1, 2; and the verdict stands on the last line."""
    for serve, code, verdict in (
        (lambda server: server.serve(5), 0, "pass"),
        (bad, 1, "fail"),
        (lambda _: None, 2, "inconclusive"),
        (gone, 2, "inconclusive"),
    ):
        result = run(*URL, "--window", "1h", serve=serve)
        assert result.exit_code == code
        assert result.stdout.splitlines()[-1] == f"verdict: {verdict}"


def test_a_fail_is_not_called_one_that_could_not_be_judged(run: Callable[..., Result]) -> None:
    """What was not watched, because it ended early, is only incomplete then."""
    failed = run(*URL, "--window", "1h", "--max-memory", "0.3")
    assert failed.exit_code == 1
    assert "incomplete: only" in failed.stdout
    assert "cannot judge" not in failed.stdout
    assert "cannot judge: " in run(*URL, "--window", "1h", serve=gone).stdout


def test_progress_shows_the_current_figures(run: Callable[..., Result]) -> None:
    """On standard error; without a terminal now and then, and always when a look failed."""
    lines = run(*URL, "--window", "1h").stderr.splitlines()
    assert lines[-1].startswith("1:00:00 of 1:00:00 · 600 turns · errors 0.00% · p95 ")
    assert len(lines) == 13
    assert "no connection" in run(*URL, "--window", "90", serve=gone).stderr


def test_json_says_it_too_when_there_is_no_verdict(run: Callable[..., Result]) -> None:
    """Inconclusive, with the reason: a pipeline reads the same members whatever happened."""

    def refuse(_: Served) -> None:
        raise ScrapeFailed("HTTP 401", permanent=True)

    for arguments, reason in (
        ((*URL, "--max-errors", "99.999%"), "let a service that fails in every way pass"),
        (URL, "HTTP 401"),
    ):
        result = run(*arguments, "--json", serve=refuse)
        verdict = json.loads(result.stdout)
        assert (result.exit_code, verdict["outcome"], verdict["checks"]) == (2, "inconclusive", [])
        assert reason in verdict["reasons"][0]
        assert reason in result.stderr


def test_json_is_one_object_and_nothing_else(run: Callable[..., Result]) -> None:
    """For pipelines."""
    verdict = json.loads(run(*URL, "--window", "1h", "--json").stdout)
    assert verdict["outcome"] == "pass"
    assert {check["name"] for check in verdict["checks"]} == {
        "errors",
        "p95",
        "memory",
        "throttled",
        "refused",
        "restarts",
    }


def test_thresholds_can_be_set(run: Callable[..., Result]) -> None:
    """As shares or per cent; ones under which everything would pass are found out before anything is watched."""
    assert run(*URL, "--window", "1h", "--max-memory", "0.3").exit_code == 1
    assert run(*URL, "--window", "1h", "--max-p95", "1").exit_code == 1
    lax = run(*URL, "--max-errors", "99.999%")
    assert lax.exit_code == 2
    assert "let a service that fails in every way pass" in lax.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        (*URL, "--prometheus", "http://127.0.0.1:2"),
        ("--url", "rom.example.org"),
        ("--url", "ftp://rom.example.org"),
        ("--url", "http://"),
        ("--prometheus", "http:// prometheus"),
        (*URL, "--window", "1m", "--interval", "40s"),
        (*URL, "--window", "soon"),
        (*URL, "--max-errors", "1000%"),
    ],
)
def test_wrong_use_is_refused(run: Callable[..., Result], arguments: tuple[str, ...]) -> None:
    """With exit code 2, which is no pass either."""
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Usage:" in result.stderr


def test_a_wrong_address_in_the_environment_is_refused_as_well(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """ROM_URL without http:// would be watched for two hours in vain."""
    monkeypatch.setenv("ROM_URL", "rom.example.org")
    assert run().exit_code == 2
    monkeypatch.setenv("ROM_URL", "http://127.0.0.1:1")
    assert run("--window", "1h").exit_code == 0
    monkeypatch.setenv("ROM_URL", "")
    assert "name a server" in run().stderr


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("30s", 30), ("2h", 7200), ("1h30m", 5400), ("0.5h", 1800), ("5min", 300), ("1d", 86400)],
)
def test_durations_are_read_as_people_write_them(text: str, seconds: float) -> None:
    """A bare number is seconds."""
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "h", "2x", "-1", "0", "1h30", "1 h", "nan", "inf"])
def test_other_durations_are_refused(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(click.BadParameter):
        Duration().convert(text, None, None)


def test_an_address_is_one_over_http() -> None:
    """A path may follow, for a server behind a prefix; a query may not, since paths are added at the end."""
    for text in ("https://rom.example.org", "http://127.0.0.1:8000/", "https://host/rom", ""):
        assert Address().convert(text, None, None) == text
    for text in ("host:8000", "//host", "https://", "https://host?x=1", "https://ho st"):
        with pytest.raises(click.BadParameter):
            Address().convert(text, None, None)


def test_shares_are_read_as_people_write_them() -> None:
    """In per cent or as a fraction, never 0 or all."""
    assert Share().convert("1%", None, None) == Share().convert("0.01", None, None) == 0.01
    for text in ("0", "1", "100%", "-1%", "1,5%", "nan", "many"):
        with pytest.raises(click.BadParameter):
            Share().convert(text, None, None)
