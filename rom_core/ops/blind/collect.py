"""Asking both arms every question, whole answers over POST /api/chat, one at a time and in random order of the arms."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

from rom_core.concurrency.clock import Clock
from rom_core.ops.bearer import Bearer
from rom_core.ops.blind.folder import Answer, Arm, Folder
from rom_core.ops.blind.questions import BlindFailed, Question
from rom_core.ops.requesting import FOREIGN, DirectSession, json_of

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 900.0
# An arm that fails so often in a row is away, and asking on would only cost time.
_FAILURES_IN_A_ROW = 5


@dataclass(frozen=True, slots=True)
class ArmAddress:
    """Where an arm is asked: server, key and its variable, headers, members of the body such as `model`."""

    url: str
    key: str = field(default="", repr=False)
    key_variable: str = "ROM_API_KEY"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)


class Asker:
    """Asks one arm. Raises BadToken for a key that cannot be sent."""

    def __init__(self, address: ArmAddress, clock: Clock) -> None:
        self._address = address
        self._clock = clock
        self._session = DirectSession()
        self._session.auth = Bearer(address.key, address.key_variable)

    def ask(self, message: str) -> tuple[dict[str, Any], str, float]:
        """The answer's object, or what went wrong, and the seconds it took. Raises BlindFailed for a refused key."""
        address, began = self._address, self._clock.monotonic()
        answer: dict[str, Any] = {}
        try:
            response = self._session.post(
                address.url.rstrip("/") + "/api/chat",
                json={"message": message, **address.body},
                headers=dict(address.headers),
                timeout=(CONNECT_SECONDS, ANSWER_SECONDS),
            )
            body = json_of(response.content)
            if response.status_code in (401, 403):
                raise BlindFailed(f"{address.url} refuses the key in {address.key_variable}: {body.get('detail', '')}")
            if response.status_code == 200:
                answer, error = body, "" if isinstance(body["reply"], str) else "no reply in the answer"
            else:
                error = f"{response.status_code} {body.get('code', '')}: {body.get('detail', '')}"
        except requests.RequestException as failure:
            error = f"no answer: {type(failure).__name__}"
        except FOREIGN:
            error = "what answers there is no ROM Agent"
        return answer, error, self._clock.monotonic() - began


def collect(
    folder: Folder,
    askers: Mapping[Arm, Asker],
    draw: random.Random,
    on_answer: Callable[[Answer, int, int], None],
) -> None:
    """Ask what has no answer yet; `on_answer(answer, done, all)` after each.

    An arm that fails is asked again by the next call. Raises BlindFailed for an arm that answers nothing.
    """
    known = folder.answers()
    pairs: list[tuple[Question, Arm]] = []
    for question in folder.questions:
        arms: list[Arm] = ["a", "b"]
        draw.shuffle(arms)
        pairs += [(question, arm) for arm in arms]
    todo = [(question, arm) for question, arm in pairs if not _answered(known.get((question.id, arm)))]
    failures: dict[Arm, int] = {"a": 0, "b": 0}
    for number, (question, arm) in enumerate(todo, start=1):
        body, error, seconds = askers[arm].ask(question.prompt)
        usage = body.get("usage") or {}
        answer = Answer(
            question.id,
            arm,
            text=body.get("reply", "") if not error else "",
            error=error,
            seconds=round(seconds, 3),
            model=body.get("model", ""),
            input_tokens=usage.get("input_tokens", 0),
            output_tokens=usage.get("output_tokens", 0),
        )
        folder.add_answer(answer)
        on_answer(answer, len(pairs) - len(todo) + number, len(pairs))
        failures[arm] = failures[arm] + 1 if error else 0
        if failures[arm] == _FAILURES_IN_A_ROW:
            raise BlindFailed(
                f"arm {arm} failed {_FAILURES_IN_A_ROW} times in a row ({error}); put it right and give the same "
                "command again: what was collected is kept"
            )


def _answered(answer: Answer | None) -> bool:
    return answer is not None and not answer.error
