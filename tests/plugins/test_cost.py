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
from rom_core.cli import main
from rom_core.cli.admin_client import AdminClient
from rom_core.errors import ModelServerError
from rom_core.http.app import create_app
from rom_core.markers import hookimpl
from rom_core.settings import Model
from rom_core.telemetry.accounts import cost_usd
from rom_core.telemetry.cost_report import Part, TotalsDiffer, TurnCost, edges_of, parts_of, report
from rom_core.telemetry.list_prices import list_price
from rom_core.turn_values import ModelReply, TryAgain, Usage

MODELS = packaged_models()
SONNET, HAIKU = MODELS["anthropic.claude-sonnet-4-5"], MODELS["anthropic.claude-haiku-4-5"]
TOKEN = "a-token-for-tests"
BANDED = MODELS["anthropic.claude-haiku-5-5"]
EDGES = edges_of(MODELS.values())
COUNTS = st.integers(0, 10**5)
USAGES = st.builds(Usage, COUNTS, COUNTS, COUNTS, COUNTS)
USED = st.sampled_from([SONNET, HAIKU, BANDED])
REQUESTS = st.lists(st.tuples(USED, USAGES), max_size=6)


def turn_of(asked: Model, *requests: tuple[Model, Usage], **more: Any) -> TurnCost:
    """A turn of these requests."""
    return TurnCost(0.0, asked, parts_of(requests, EDGES), edges=EDGES, **more)


TURNS = st.lists(st.builds(lambda asked, used: turn_of(asked, *used), USED, REQUESTS), max_size=12)


@settings(deadline=None)
@given(TURNS)
def test_every_total_is_the_sum_of_its_turns(turns: list[TurnCost]) -> None:
    """In every view: what all turns come to is what each comes to by itself, added up."""
    whole, singly = report(turns, MODELS), [report([turn], MODELS) for turn in turns]
    for view in ("total", "without_caching", "without_fallback", "claude_api"):
        assert whole[view]["usd"] == pytest.approx(sum(one[view]["usd"] for one in singly), abs=1e-6)
    for alias, view in whole["with_model"].items():
        assert view["usd"] == pytest.approx(sum(one["with_model"][alias]["usd"] for one in singly), abs=1e-6)
    assert whole["total"]["usd"] == pytest.approx(sum(row["usd"] for row in whole["by_model"].values()), abs=1e-6)
    for kind in ("requests", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"):
        assert whole["total"][kind] == sum(one["total"][kind] for one in singly)


def test_a_total_that_is_not_the_sum_is_no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """A price that does not grow with the tokens is noticed."""
    monkeypatch.setattr(
        "rom_core.telemetry.cost_report.cost_usd", lambda _model, usage, _: float(usage.input_tokens) ** 2
    )
    turns = [turn_of(SONNET, (SONNET, Usage(100)))] * 2
    with pytest.raises(TotalsDiffer):
        report(turns, MODELS)


def test_the_figures_of_one_turn() -> None:
    """By hand: 1M read, 1M written, 1M written for an hour, 1M output with Sonnet 4.5; asked for was Haiku."""
    usage = Usage(0, 1_000_000, 1_000_000, 2_000_000, 1_000_000)
    found = report([turn_of(HAIKU, (SONNET, usage))], MODELS)
    assert found["total"]["usd"] == 0.30 + 3.75 + 6.00 + 15.00
    assert found["without_caching"] == {
        "usd": 24.0,
        "saved_usd": -1.05,
        "saved_percent": -4.38,
        "change_percent": -4.19,
    }
    assert found["without_fallback"]["usd"] == 0.10 + 1.25 + 2.00 + 5.00
    assert found["with_model"]["anthropic.claude-haiku-4-5"]["usd"] == found["without_fallback"]["usd"]
    assert found["claude_api"]["usd"] == found["total"]["usd"]


def test_the_rules_that_decided_are_counted() -> None:
    """Over all turns of the report."""
    turns = [
        turn_of(SONNET, rules=("first_use", "later_call")),
        turn_of(SONNET, rules=("later_call",)),
    ]
    assert report(turns, MODELS)["cache_rules"] == {"first_use": 1, "later_call": 2}


def test_the_list_price_is_bedrocks_for_the_same_model() -> None:
    """Through a global. profile: so 94 % cannot be shown for the same model, and the report says so."""
    for model in MODELS.values():
        listed = list_price(model)
        if not model.end_of_life:
            assert listed is not None
            assert listed.price_date
            assert listed.price_source
            assert [listed.prices(tokens) for tokens in (1, 200_000)] == [
                model.prices(tokens) for tokens in (1, 200_000)
            ]
    assert "the same" in report([], MODELS)["notes"][0]


def test_what_cannot_be_shown_is_said() -> None:
    """No list price, usage that never came, turns that were forgotten, no turn at all."""
    import dataclasses

    odd = dataclasses.replace(SONNET, id="amazon.nova", alias="nova")
    found = report([turn_of(odd, (odd, Usage(5)), unknown=2)], MODELS, forgotten=7)
    assert found["claude_api"]["usd"] is None
    notes = " ".join(found["notes"])
    assert all(word in notes for word in ("nova", "2 requests", "7 older"))
    assert "No turn" in " ".join(report([], MODELS)["notes"])


def test_a_price_band_is_chosen_by_each_request() -> None:
    """Of a turn with a short and a long prompt, in its own view and in that of a model with bands."""
    short, long = Usage(60_000, 10), Usage(30_000, 10, 70_001)
    for model in (BANDED, SONNET):
        turn = turn_of(model, (model, short), (model, long), (model, short))
        assert [(part.requests, part.usage) for part in turn.parts] == [(2, short + short), (1, long)]
        found = report([turn], MODELS)
        assert found["with_model"][BANDED.alias]["usd"] == pytest.approx(
            2 * (60_000 * 0.10 + 10 * 0.50) / 1e6 + (30_000 * 0.50 + 70_001 * 0.05 + 10 * 2.50) / 1e6, abs=1e-8
        )
        assert found["total"]["usd"] == pytest.approx(2 * cost_usd(model, short) + cost_usd(model, long), abs=1e-8)
        assert found["total"]["requests"] == 3


def test_turns_from_before_a_band_are_not_priced_by_it() -> None:
    """Requests were added up without regard to it: the view says that it cannot be shown."""
    old = TurnCost(0.0, SONNET, (Part(SONNET, Usage(160_000), 2, 80_000),))
    found = report([old], MODELS)
    assert found["with_model"][BANDED.alias]["usd"] is None
    assert found["with_model"][HAIKU.alias]["usd"] == 0.16
    assert any(BANDED.alias in note for note in found["notes"])


def test_the_report_says_of_when_and_from_where_prices_are() -> None:
    """For each alias; and in words for which nobody said it."""
    import dataclasses

    found = report([turn_of(SONNET, (SONNET, Usage(5)))], MODELS)
    assert all(price["date"] and price["source"] for price in found["prices"].values())
    own = dataclasses.replace(SONNET, price_source="")
    notes = report([turn_of(own, (own, Usage(5)))], {own.alias: own})["notes"]
    assert any("where the prices of anthropic.claude-sonnet-4-5" in note for note in notes)


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
