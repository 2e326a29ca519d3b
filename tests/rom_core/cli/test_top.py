"""`rom top`: what a frame shows, where it comes from, and what becomes of a connection that breaks."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import responses
from click.testing import CliRunner, Result
from rich.console import Console
from status_support import HEALTHY, STATUS, why

from rom_core.cli import main, top
from rom_core.cli.admin_client import Refused
from rom_core.cli.top_figures import Glance, figures_of_status
from rom_core.cli.top_view import frame
from rom_core.http.sse import sse_event

URL = "http://rom.test"
NOW = 1795920430.0
FIELDS = ("turns", "failed", "refused", "requests", "throttled", "cost_usd", "waiting", "running")
LIMITS = {"error_share": {"gate": 0.01, "alert": 0.05, "critical": 0.2}, "p95_seconds": {"gate": 30.0, "alert": 45.0}}


def point(at: float, **more: Any) -> dict[str, Any]:
    """A point of the hour."""
    return {"at": at, **dict.fromkeys(FIELDS, 0), "memory_ratio": 0.06, "p50_seconds": 1.0, "p95_seconds": 3.0} | more


def figures(**more: Any) -> dict[str, Any]:
    """Figures of a server that is well."""
    made = figures_of_status(STATUS, NOW) | {"limits": LIMITS, "cost": {"per_hour_usd": 0.5, "last_hour_usd": 0.1}}
    return (
        made | {"p50_seconds": 3.2, "queue": {"waiting": 0, "max_waiting": 10, "running": 2, "max_running": 6}} | more
    )


def glance(**more: Any) -> Glance:
    """After a connection, an hour and the first figures."""
    made = Glance()
    points = [point(NOW - 3590 + 10 * number, turns=2) for number in range(359)]
    made.take("hour", {"seconds": 10} | {name: [each[name] for each in points] for name in points[0]})
    made.take("point", point(NOW - 5, turns=4, failed=2))
    made.take("figures", figures(**more))
    return made


def shown(made: Glance, width: int = 80, height: int = 24, *, plain: bool = False) -> list[str]:
    """The lines of a frame as a terminal of that size has them."""
    console = Console(width=width, height=height, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(frame(made, width, height, NOW, plain=plain))
    console.file.close()
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_a_frame_fits_80_by_24_and_says_each_state_in_words() -> None:
    """With the limits beside the figures; nothing is told by colour alone."""
    lines = shown(glance())
    assert (len(lines) <= 24, max(map(len, lines)) <= 80) == (True, True)
    text = "\n".join(lines)
    assert lines[0].startswith("rom top  production  release 1.2.3  version 12")
    assert lines[0].endswith("02:47:10 UTC")
    assert lines[1].strip().startswith("WELL")
    for said in ("failed     0 %", "3.2 / 8.14 s", "gate 1 %, alert 5 %", "0.50 USD", "all 1 closed", "a-1  release"):
        assert said in text, said


def test_what_is_wrong_stands_in_words() -> None:
    """Down with its reason and page, the kill switch, circuits with who holds them, a held canary, draining."""
    health = HEALTHY | {
        "state": "down",
        "why": [why("failed_turns", "12 of 24 turns failed"), why("store", "it is lost")],
    }
    circuit = {"model": "m-1", "state": "open", "forced": True, "by": "ana", "why": "quota"}
    rollout = {"status": "running", "percent": 10, "phase": 1, "phases": 3, "held": True, "gate": "fail"}
    lines = shown(
        glance(
            health=health,
            levels=figures()["levels"] | {"errors": "critical", "bedrock": "critical", "circuits": "alert"},
            bedrock_enabled=False,
            draining=True,
            drained={"by": "eva", "why": "deploy"},
            circuits=[circuit],
            canary={"percent": 10, "flags": {"RETRY_ENABLED": True}, "rollout": rollout},
            fleet_away="timeout",
        )
    )
    text = "\n".join(lines)
    for said in (
        "DOWN  12 of 24 turns failed",
        "\n       it is lost",
        "to do: docs/operate.md#failed-turns, docs/operate.md#store",
        "CRITICAL",
        "OFF: every chat is refused",
        "drained by eva: deploy",
        "OPEN m-1 (held by ana: quota)",
        "10 %, phase 1 of 3, gate FAIL, HELD: RETRY_ENABLED=true",
        "AWAY, as last heard of: timeout",
    ):
        assert said in text, said


def test_colour_says_it_besides_and_the_plot_is_red_above_its_limit() -> None:
    """Green, yellow and red go with the words; only the minute in which turns failed is red."""
    drawn = frame(glance(levels=figures()["levels"] | {"errors": "alert", "memory": "critical"}), 80, 24, NOW)
    styles = {drawn.plain[span.start : span.end].strip(): str(span.style) for span in drawn.spans}
    assert (styles["ok"], styles["ALERT"], styles["CRITICAL"]) == ("bold green", "bold yellow", "bold red")
    row = next(line for line in drawn.split("\n") if line.plain.startswith("failed"))
    red = [row.plain[span.start : span.end] for span in row.spans if span.style == "bold red"]
    assert red == ["█"]


def test_a_window_that_is_too_low_says_so_and_a_plain_terminal_gets_ascii() -> None:
    """The last line stays; no character is beyond ASCII."""
    lines = shown(glance(), height=10)
    assert (len(lines), "the window is too low" in lines[-2], lines[-1].startswith("q leaves")) == (10, True, True)
    assert "\n".join(shown(glance(), plain=True)).isascii()
    assert max(map(len, shown(glance(), width=40))) <= 40


def test_what_a_server_says_does_not_reach_the_terminal_as_commands() -> None:
    """A reason, a name, a note may hold anything."""
    evil = "\x1b]0;owned\x07"
    made = glance(drained={"by": evil, "why": evil}, draining=True, instance=evil)
    made.note = evil
    assert "\x1b" not in frame(made, 80, 24, NOW).plain
    assert "\x1b" not in frame(Glance(note=evil), 80, 24, NOW).plain


def rom(*answers: tuple[str, int, Any], arguments: tuple[str, ...] = ("--once",)) -> Result:
    """`rom top` against a server that gives these answers, each (path, status, body); bytes are an event stream."""
    with responses.RequestsMock() as mock:
        for path, status, body in answers:
            if isinstance(body, bytes):
                mock.get(URL + path, body=body, status=status, content_type="text/event-stream; charset=utf-8")
            else:
                mock.get(URL + path, json=body, status=status)
        environ = {"ROM_URL": URL, "ROM_ADMIN_TOKEN": "token-of-an-operator"}
        return CliRunner().invoke(main, ["top", *arguments], env=environ)


def test_once_prints_one_frame_and_ends_as_the_health_is() -> None:
    """0 when well, else 1; a pipe needs no --once."""
    stream = b": still here\n\n" + sse_event({"seconds": 10, "at": []}, "hour") + sse_event(figures(), "figures")
    done = rom(("/admin/events", 200, stream))
    assert (done.exit_code, "WELL" in done.stdout) == (0, True)
    ill = figures(health=HEALTHY | {"state": "degraded", "why": [why("memory", "80 % is used")]})
    done = rom(("/admin/events", 200, sse_event(ill, "figures")), arguments=())
    assert (done.exit_code, "DEGRADED" in done.stdout) == (1, True)


@pytest.mark.parametrize(("status", "code"), [(404, "plugin_disabled"), (503, "overloaded")])
def test_without_live_figures_the_status_is_asked(status: int, code: str) -> None:
    """A server of an older release, the plugin off, or too many who read along."""
    refusal = {"detail": "no", "code": code, "trace_id": "t"}
    done = rom(("/admin/events", status, refusal), ("/admin/status", 200, STATUS))
    assert (done.exit_code, "WELL" in done.stdout, "version 12" in done.stdout) == (0, True, True)


def test_a_wrong_token_and_no_server_are_sentences() -> None:
    """With exit code 1, and at once."""
    done = rom(("/admin/events", 401, {"detail": "no", "code": "unauthorized", "trace_id": "t"}))
    assert (done.exit_code, "ROM_ADMIN_TOKEN" in done.stderr) == (1, True)
    nobody = CliRunner().invoke(main, ["top", "--once", "--url", "http://127.0.0.1:1"])
    assert (nobody.exit_code, "no server answers" in nobody.stderr) == (1, True)


class Client:
    """An AdminClient whose every connection ends at once, after an event if it is `alive`; it counts the tries."""

    def __init__(self, *, alive: bool) -> None:
        self.alive = alive
        self.tries = 0

    def events(self, *_: Any) -> Any:
        self.tries += 1
        if not self.alive:
            raise Refused("broken", 502)
        yield "figures", {}


class Left(threading.Event):
    """Its `wait` lets the clock pass, and sets it after so many waits."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.now = 0.0
        self.pauses: list[float] = []
        self._most = most

    def wait(self, timeout: float | None = None) -> bool:
        self.now += timeout or 0.0
        self.pauses.append(timeout or 0.0)
        if len(self.pauses) >= self._most:
            self.set()
        return self.is_set()


def follow(client: Client, most: int) -> tuple[Left, list[Any]]:
    """Follow until it gives up, or has waited so often."""
    left, items = Left(most), []  # type: ignore[var-annotated]
    top.Follower(client, items.append, left, lambda: left.now).run()  # type: ignore[arg-type]
    return left, items


def test_it_connects_again_after_growing_pauses_and_gives_up_after_five_minutes() -> None:
    """A server that answers in between is asked again soon, however often it breaks off."""
    left, items = follow(Client(alive=False), 1000)
    assert left.pauses[:6] == [*top.PAUSES[1:], top.PAUSES[-1]]
    assert (items[-1][0], "given up" in items[-1][1]) == ("gone", True)
    assert top.GIVE_UP_SECONDS < left.now < top.GIVE_UP_SECONDS + 2 * top.PAUSES[-1]
    client = Client(alive=True)
    left, items = follow(client, 50)
    assert client.tries == 50
    assert items[-1][0] == "lost"
