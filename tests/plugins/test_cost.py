"""GET /admin/cost and `rom cost`: every total is the sum of its turns, and what cannot be shown is said."""

from __future__ import annotations

import json
from typing import Any

import falcon.testing
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from settings_support import packaged_models
from support import make_runtime, make_turn

from plugins.cost import MAX_TURNS, Cost
from plugins.cost.figures import NotTheSum, Part, TurnCost, list_price, report
from rom_core.cli import main
from rom_core.cli.admin_client import AdminClient
from rom_core.errors import ModelServerError
from rom_core.http.app import create_app
from rom_core.markers import hookimpl
from rom_core.turn_values import ModelReply, TryAgain, Usage

MODELS = packaged_models()
SONNET, HAIKU = MODELS["anthropic.claude-sonnet-4-5"], MODELS["anthropic.claude-haiku-4-5"]
TOKEN = "a-token-for-tests"
COUNTS = st.integers(0, 10**7)
USAGES = st.builds(Usage, COUNTS, COUNTS, COUNTS, COUNTS)
PARTS = st.builds(Part, st.sampled_from([SONNET, HAIKU]), USAGES, st.integers(1, 9))
TURNS = st.lists(
    st.builds(TurnCost, st.just(0.0), st.sampled_from([SONNET, HAIKU]), st.lists(PARTS, max_size=3).map(tuple)),
    max_size=20,
)


@settings(deadline=None)
@given(TURNS)
def test_every_total_is_the_sum_of_its_turns(turns: list[TurnCost]) -> None:
    """In every view: what all turns come to is what each comes to by itself, added up."""
    whole, singly = report(turns, MODELS), [report([turn], MODELS) for turn in turns]
    for view in ("total", "without_caching", "without_fallback", "claude_api"):
        assert whole[view]["usd"] == pytest.approx(sum(one[view]["usd"] for one in singly), abs=1e-6)
    assert whole["total"]["usd"] == pytest.approx(sum(row["usd"] for row in whole["by_model"].values()), abs=1e-6)
    for kind in ("requests", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"):
        assert whole["total"][kind] == sum(one["total"][kind] for one in singly)


def test_a_total_that_is_not_the_sum_is_no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """A price that does not grow with the tokens is noticed."""
    monkeypatch.setattr("plugins.cost.figures.cost_usd", lambda _model, usage: float(usage.input_tokens) ** 2)
    turns = [TurnCost(0.0, SONNET, (Part(SONNET, Usage(100)),))] * 2
    with pytest.raises(NotTheSum):
        report(turns, MODELS)


def test_the_figures_of_one_turn() -> None:
    """By hand: 1M read, 1M written, 1M written for an hour, 1M output with Sonnet 4.5; asked for was Haiku."""
    usage = Usage(0, 1_000_000, 1_000_000, 2_000_000, 1_000_000)
    found = report([TurnCost(0.0, HAIKU, (Part(SONNET, usage),))], MODELS)
    assert found["total"]["usd"] == 0.30 + 3.75 + 6.00 + 15.00
    assert found["without_caching"] == {"usd": 24.0, "saved_usd": -1.05, "saved_percent": -4.37}
    assert found["without_fallback"]["usd"] == 0.10 + 1.25 + 2.00 + 5.00
    assert found["with_model"]["anthropic.claude-haiku-4-5"]["usd"] == found["without_fallback"]["usd"]
    assert found["claude_api"]["usd"] == found["total"]["usd"]


def test_the_rules_that_decided_are_counted() -> None:
    """Over all turns of the report."""
    turns = [
        TurnCost(0.0, SONNET, (), rules=("first_use", "later_call")),
        TurnCost(0.0, SONNET, (), rules=("later_call",)),
    ]
    assert report(turns, MODELS)["cache_rules"] == {"first_use": 1, "later_call": 2}


def test_the_list_price_is_bedrocks_for_the_same_model() -> None:
    """Through a global. profile: so 94 % cannot be shown for the same model, and the report says so."""
    for model in MODELS.values():
        listed = list_price(model)
        assert listed == model or model.end_of_life
    assert "the same" in report([], MODELS)["notes"][0]


def test_what_cannot_be_shown_is_said() -> None:
    """No list price, usage that never came, turns that were forgotten, no turn at all."""
    import dataclasses

    odd = dataclasses.replace(SONNET, id="amazon.nova", alias="nova")
    found = report([TurnCost(0.0, odd, (Part(odd, Usage(5)),), unknown=2)], MODELS, forgotten=7)
    assert found["claude_api"]["usd"] is None
    notes = " ".join(found["notes"])
    assert all(word in notes for word in ("nova", "2 requests", "7 older"))
    assert "No turn" in " ".join(report([], MODELS)["notes"])


class Next:
    """The next model after a failure."""

    @hookimpl
    def rom_model_failed(self) -> TryAgain:
        return TryAgain(model="anthropic.second")


def served() -> tuple[falcon.testing.TestClient, Any, Cost]:
    """A server whose first model fails and whose second answers."""
    plugin = Cost()
    answer = ModelReply(({"text": "ok"},), "end_turn", "anthropic.second", Usage(1000, 100))
    runtime, _ = make_runtime(
        ModelServerError("", kind="500"),
        answer,
        plugins={"cost": plugin, "next": Next()},
        ADMIN_TOKEN=TOKEN,
    )
    runtime.run(make_turn(runtime))
    client = falcon.testing.TestClient(create_app(runtime), headers={"Authorization": f"Bearer {TOKEN}"})
    return client, runtime, plugin


def test_the_route_tells_what_turns_cost() -> None:
    """With the admin token; `since` leaves older turns out; nonsense is refused."""
    client, runtime, _ = served()
    found = client.simulate_get("/admin/cost").json
    assert found["total"] == {
        "requests": 1,
        "input_tokens": 1000,
        "output_tokens": 100,
        "cache_read_tokens": 0,
        "cache_write_tokens": 0,
        "usd": 0.0045,
    }
    assert found["without_caching"]["usd"] == 0.0045
    later = runtime.clock.time() + 10
    from datetime import UTC, datetime

    since = datetime.fromtimestamp(later, UTC).isoformat()
    assert client.simulate_get("/admin/cost", params={"since": since}).json["turns"] == 0
    assert client.simulate_get("/admin/cost", params={"since": "yesterday"}).status_code == 422
    assert client.simulate_get("/admin/cost", headers={"Authorization": ""}).status_code == 401


def test_memory_is_bounded() -> None:
    """The oldest turn goes, and is counted."""
    _, runtime, plugin = served()
    kept = plugin.turns(0.0)[0][0]
    plugin._turns.extend([kept] * MAX_TURNS)
    runtime.run(make_turn(runtime))
    turns, forgotten = plugin.turns(0.0)
    assert (len(turns), forgotten) == (MAX_TURNS, 1)


def test_the_command_prints_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--json` is the server's object, with `total` and `without_caching`; else tables, and the notes in words."""
    found = served()[0].simulate_get("/admin/cost").json
    monkeypatch.setattr(AdminClient, "get", lambda *_, **__: found)
    monkeypatch.setenv("ROM_ADMIN_TOKEN", TOKEN)
    as_json = CliRunner().invoke(main, ["cost", "--json", "--since", "24h"])
    assert as_json.exit_code == 0, as_json.output
    assert json.loads(as_json.output) == found
    shown = CliRunner().invoke(main, ["cost"]).output
    assert all(text in shown for text in ("without caching", "cannot be shown", "0.0045", "- "))
