"""`rom drain` and `rom undrain`: what they ask for, and what they say of the answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
import responses
from click.testing import CliRunner, Result

from rom_core.cli import main

URL = "http://rom.test"
ANSWER = {"instance": "a-1", "draining": True, "self": True, "shared": True, "active_turns": 2, "by": "ana", "why": "x"}


def rom(*arguments: str, asks: dict[str, Any], **answer: Any) -> Result:
    """A command against a server that expects this body and answers so."""
    with responses.RequestsMock() as mock:
        mock.post(f"{URL}/admin/drain", json=ANSWER | answer, match=[responses.matchers.json_params_matcher(asks)])
        return CliRunner().invoke(main, list(arguments), env={"ROM_URL": URL, "ROM_ADMIN_TOKEN": "token-of-ana-1234"})


def test_the_instance_that_answers_says_what_still_runs() -> None:
    """Without an id it is the one there is."""
    done = rom("drain", "--reason", "x", asks={"draining": True, "reason": "x"})
    assert (done.exit_code, done.stdout) == (0, "a-1 takes no new turns; 2 still run\n")
    one = rom("drain", asks={"draining": True}, active_turns=1)
    assert one.stdout == "a-1 takes no new turns; 1 still runs\n"


def test_another_one_is_named_and_does_it_within_some_seconds() -> None:
    """And a store that is away is told."""
    done = rom("drain", "b-2", asks={"draining": True, "instance": "b-2"}, instance="b-2", self=False)
    assert done.stdout.startswith("b-2 takes no new turns within some seconds")
    away = rom("drain", asks={"draining": True}, shared=False)
    assert "the other instances do not know of it" in away.stdout


@pytest.mark.parametrize("arguments", [["undrain"], ["undrain", "--json"]])
def test_it_is_taken_back(arguments: list[str]) -> None:
    """For people, or as the server says it."""
    done = rom(*arguments, asks={"draining": False}, draining=False)
    if "--json" in arguments:
        assert json.loads(done.stdout) == ANSWER | {"draining": False}
    else:
        assert done.stdout == "a-1 takes turns again\n"
