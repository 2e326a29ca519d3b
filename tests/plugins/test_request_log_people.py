"""The request log where people read it: one short line a turn, the rest at DEBUG."""

from __future__ import annotations

import io
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from log_support import SECRET, Persistent
from support import Toolkit, asks, failure, make_runtime, make_turn, says, tool

from plugins.request_log import RequestLog
from plugins.request_log.people import FailedTurns
from rom_core.errors import ModelRefused, ModelThrottled, ModelTimeout, QueueFull, TurnCancelled
from rom_core.events import Event, RequestFinished, RunAccepted, RunFinished, RunStarted
from rom_core.runtime import Runtime
from rom_core.telemetry import log
from rom_core.turn import Attempt
from rom_core.turn_values import ModelReply

Shown = Callable[[], list[str]]
ForPeople = Callable[..., Runtime]


@pytest.fixture
def shown(restored_logging: io.StringIO, request: pytest.FixtureRequest) -> Shown:
    """The lines on the console so far, without the time that each begins with."""
    stream = io.StringIO()
    log.configure("console", getattr(request, "param", "INFO"), stream=stream)
    return lambda: [re.sub(r"^\d\d:\d\d:\d\d +", "", line) for line in stream.getvalue().splitlines()]


@pytest.fixture
def for_people(shown: Shown) -> Iterator[ForPeople]:
    """Makes runtimes that are started, with a request log for the console, and stopped at the end."""
    with ExitStack() as stack:

        def make(*steps: Any, plugins: dict[str, Any] | None = None, **values: Any) -> Runtime:
            plugins = {"request_log": RequestLog()} | (plugins or {})
            runtime, _ = make_runtime(*steps, plugins=plugins, LOG_FORMAT="console", **values)
            stack.callback(runtime.stop)
            runtime.start()
            return runtime

        yield make


def finished(status: str, code: str = "", *, http_status: int = 200, request_id: str = "req") -> RequestFinished:
    """An HTTP request that was answered."""
    return RequestFinished("/api/chat", "POST", status, http_status, code, "stable", "trace", request_id, 0.25)


def test_a_turn_is_one_short_line(shown: Shown, for_people: ForPeople) -> None:
    """Who, model, iterations, tools, seconds, cost; nothing else is shown at INFO."""
    runtime = for_people(
        asks(("look", {}), ("look", {}), ("find", {})), says("ok"), plugins={"kit": Toolkit(tool(), tool("find"))}
    )
    runtime.run(make_turn(runtime, key_name="office"))
    runtime.emit(finished("ok"))
    assert shown() == ["turn  office  anthropic.first  2 iterations  look x2, find  0.00 s  $0.0002"]


def test_a_run_that_goes_well_is_its_turns_line(shown: Shown, for_people: ForPeople) -> None:
    """Of one that does not, the end is shown: it may have had no turn."""
    runtime = for_people()
    runtime.emit(RunAccepted("run_1", "trace"))
    runtime.emit(RunStarted("run_1", 1, "trace"))
    runtime.emit(RunFinished("run_1", "done", "ok", "/api/chat", "stable", exhaustive=False))
    assert shown() == []
    runtime.emit(
        RunFinished("run_2", "interrupted", "error", "/api/chat", "stable", exhaustive=False, code="run_interrupted")
    )
    (line,) = shown()
    assert {"run.finished", "run_id=run_2", "state=interrupted"} <= set(line.split())


@pytest.mark.parametrize("shown", ["DEBUG"], indirect=True)
def test_the_rest_is_there_at_debug(shown: Shown, for_people: ForPeople) -> None:
    """The line with all figures too, and what became of the request."""
    runtime = for_people(says("ok"))
    runtime.run(make_turn(runtime))
    runtime.emit(finished("ok"))
    lines = shown()
    assert sum(line.startswith("turn  ") for line in lines) == 1
    (full,) = (line for line in lines if "turn.finished" in line)
    assert full.startswith("[debug")
    assert all(part in full.split() for part in ("status=ok", "iterations=1", "stream=False", "trace_id=trace"))
    assert "attempts=['anthropic.first: ok']" in full
    assert {"turn.started", "attempt.finished", "request.finished"} <= {
        line.split()[2] for line in lines if "[debug" in line
    }


@pytest.mark.parametrize(
    ("environment", "who"), [("development", "office/ana"), ("testing", "office"), ("production", "office")]
)
def test_who_asked_is_the_key_and_on_the_developers_machine_the_user(
    shown: Shown, for_people: ForPeople, environment: str, who: str
) -> None:
    """What a client says of its users is in no log that is kept."""
    strict: dict[str, Any] = {
        "API_KEYS": f"office={secrets.token_hex(16)}",
        "DATA_RESIDENCY": "any: the partners, standard clauses",
    }
    runtime = for_people(says("ok"), ROM_ENV=environment, **(strict if environment == "production" else {}))
    runtime.run(make_turn(runtime, key_name="office", user="ana"))
    assert shown()[-1].split("  ")[1] == who


def test_a_name_is_no_longer_than_a_line_can_bear(shown: Shown, for_people: ForPeople) -> None:
    """A client may state a user of any length, and letters that a terminal obeys."""
    runtime = for_people(says("ok"), ROM_ENV="development")
    runtime.run(make_turn(runtime, user="\x1b[2J\n" + "a" * 500))
    (line,) = shown()
    assert line.isprintable()
    assert len(line) < 160
    runtime.run(make_turn(runtime))
    assert shown()[-1].split("  ")[1] == "-"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ModelRefused("no", kind="ValidationException"), "$0.0000  error upstream_refused  trace_id=trace"),
        (RuntimeError(SECRET), "$0.0000  error internal_error  trace_id=trace"),
        (TurnCancelled("client_gone"), "cost unknown  cancelled  trace_id=trace"),
    ],
)
def test_a_failed_turn_says_its_code_and_the_trace_id(
    shown: Shown, for_people: ForPeople, error: Exception, said: str
) -> None:
    """Once: its request has no second line. What led to it is shown as a warning or an error, with its fields."""
    runtime = for_people(failure_of(error))
    with pytest.raises(Exception):  # noqa: B017, PT011 - whichever it is
        runtime.run(make_turn(runtime))
    runtime.emit(finished("error", "upstream_refused", http_status=502))
    lines = shown()
    assert [line for line in lines if line.startswith(("turn  ", "request  "))] == [
        f"turn  -  anthropic.first  1 iteration  no tools  0.00 s  {said}"
    ]
    assert any("attempt.failed" in line for line in lines) is isinstance(error, ModelRefused)
    assert any("Traceback" in line for line in lines) is isinstance(error, RuntimeError)
    assert SECRET not in "".join(lines)


def failure_of(error: Exception) -> Callable[[Attempt, dict[str, Any]], ModelReply]:
    """A step that raises this."""

    def step(_attempt: Attempt, _request: dict[str, Any]) -> ModelReply:
        raise error

    return step


def test_what_was_not_as_usual_is_said(shown: Shown, for_people: ForPeople) -> None:
    """Retries, another model, a stop reason that is no plain end."""
    runtime = for_people(
        failure(ModelThrottled), failure(ModelThrottled), says("done", "max_tokens"), plugins={"p": Persistent()}
    )
    runtime.run(make_turn(runtime))
    line = shown()[-1]
    assert line.startswith("turn  -  anthropic.second  1 iteration  no tools  2.00 s  ")
    assert line.endswith("  1 retry  fallback  max_tokens")


@pytest.mark.parametrize("shown", ["WARNING"], indirect=True)
def test_a_good_turn_is_no_warning(shown: Shown, for_people: ForPeople) -> None:
    """LOG_LEVEL counts as ever: a failed turn alone is shown."""
    runtime = for_people(says("ok"), failure(ModelRefused, kind="ValidationException"))
    runtime.run(make_turn(runtime))
    assert shown() == []
    with pytest.raises(ModelRefused):
        runtime.run(make_turn(runtime))
    assert [line.split("  ")[0] for line in shown()][-1] == "turn"


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (finished("client_error", "invalid_request", http_status=422), "client_error invalid_request"),
        (finished("rejected", QueueFull.code, http_status=503), "rejected queue_full"),
        (finished("client_error", http_status=405), "client_error 405"),
    ],
)
def test_a_request_that_never_became_a_turn_has_a_short_line(
    shown: Shown, for_people: ForPeople, event: Event, line: str
) -> None:
    """What was asked for, why it was refused, and where to look further."""
    for_people().emit(event)
    assert shown() == [f"request  POST /api/chat  {line}  0.25 s  trace_id=trace"]


def test_a_cost_that_is_not_known_is_not_shown_as_one(shown: Shown, for_people: ForPeople) -> None:
    """What was billed for an attempt without usage is on top."""
    runtime = for_people(failure(ModelTimeout), says("ok"), plugins={"p": Persistent()})
    runtime.run(make_turn(runtime))
    assert "  at least $0.0001  " in shown()[-1]


def test_content_that_was_asked_for_is_shown(shown: Shown, for_people: ForPeople) -> None:
    """With LOG_CONTENT the line with question and answer is shown at INFO, beside the short one."""
    runtime = for_people(says(SECRET), LOG_CONTENT=True)
    runtime.run(make_turn(runtime))
    short, full = shown()
    assert short.startswith("turn  ")
    assert f"answer='{SECRET}'" in full


def test_what_is_remembered_of_failed_turns_is_bounded() -> None:
    """The oldest are forgotten; each counts once."""
    failed = FailedTurns()
    for number in range(1000):
        failed.add(str(number))
    assert not failed.take("0")
    assert failed.take("999")
    assert not failed.take("999")
