"""`rom_model_send`: what goes on the wire can be read, and a plugin may answer in its place, truthfully counted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from model_send_support import HOOKS, KNOWN, answering, run
from support import MODELS, Recorder, Toolkit, asks, make_runtime, says, tool
from text_filter_support import Filtering, Unmask

from plugins.metrics import Metrics
from rom_core.events import AttemptAnswered, AttemptFinished
from rom_core.markers import hookimpl
from rom_core.structured import read_format
from rom_core.turn import Attempt
from rom_core.turn_values import ModelReply, Usage


def test_the_request_that_goes_out_can_be_read_and_not_changed() -> None:
    """It is as the wire gets it, amended and normalised; what a plugin does to its copy reaches nobody."""
    seen: list[Any] = []

    class Amends:
        @hookimpl
        def rom_model_request(self, attempt: Attempt, request: dict[str, Any]) -> None:
            assert not attempt.request
            request["system"].append({"text": "amended"})

    def look(attempt: Attempt) -> None:
        seen.append(attempt.request)
        with pytest.raises(TypeError):
            attempt.request["modelId"] = "other"  # type: ignore[index]
        attempt.request["messages"][0]["content"][0]["text"] = "changed"

    recorder = Recorder()
    plugins = {"amends": Amends(), "looks": answering(look), "recorder": recorder}
    runtime, transport = make_runtime(says("ok"), plugins=plugins)
    run(runtime, streamed=False)
    assert transport.requests[0]["messages"][0]["content"] == [{"text": "question"}]
    assert transport.requests[0]["system"][-1] == {"text": "amended"}
    assert seen[0].keys() == transport.requests[0].keys() >= {"modelId", "inferenceConfig"}
    [finished] = [event for event in recorder.events if isinstance(event, AttemptFinished)]
    assert finished.attempt.request is seen[0]
    assert (finished.attempt.reply, finished.attempt.answered_by) == (says("ok"), "wire")


@pytest.mark.parametrize("hook", HOOKS[:2])
@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_in_the_place_of_the_wire_is_no_request(streamed: bool, hook: str) -> None:
    """Nothing is sent, billed or counted as sent; the client gets all of it, thoughts and text, streamed too."""
    recorder, metrics = Recorder(), Metrics()
    plugins = {
        "cache": answering(lambda _: KNOWN, hook),
        "recorder": recorder,
        "metrics": metrics,
        "filter": Filtering(Unmask),
    }
    runtime, transport = make_runtime(says("of the wire"), plugins=plugins)
    metrics.rom_start(runtime)
    turn, heard = run(runtime, streamed, show_thinking=True)
    metrics.rom_stop()
    assert turn.text == "known Ana"
    if streamed:
        thought = [("thinking", {}), ("thinking", {"text": "hm"}), ("thinking", {"signature": "s"})]
        assert heard == [*thought, ("delta", {"text": "known Ana"})]
    assert transport.requests == []
    assert (turn.model_requests, turn.usage, turn.usage_unknown) == (0, Usage(), 0)
    assert [name for name in recorder.names if name.startswith("attempt.")] == ["attempt.answered"]
    [answered] = [event for event in recorder.events if isinstance(event, AttemptAnswered)]
    attempt = answered.attempt
    assert (attempt.reply, attempt.answered_by, attempt.on_wire) == (KNOWN, "plugin", False)
    assert attempt.call.requests == 0
    sample = runtime.registry.get_sample_value
    assert sample("rom_model_answered_total", {"model": "anthropic.first"}) == 1
    assert sample("rom_model_attempts_total", {"model": "anthropic.first", "outcome": "ok"}) == 0
    assert sample("rom_bedrock_cost_usd_total", {"model": "anthropic.first"}) == 0
    assert sample("rom_first_delta_seconds_count", {"cohort": "stable"}) == 1


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_that_a_known_answer_asks_for_run(streamed: bool) -> None:
    """The loop goes on from it as from any reply, and from the wire where nothing is known."""
    known = [asks(("look", {})), None]
    plugins = {"cache": answering(lambda _: known.pop(0)), "kit": Toolkit(tool())}
    runtime, transport = make_runtime(says("ok"), plugins=plugins)
    turn, _ = run(runtime, streamed)
    runtime.tool_pool.stop()
    assert (turn.text, len(turn.tool_calls), len(transport.requests)) == ("ok", 1, 1)
    assert transport.requests[0]["messages"][-1]["content"][0]["toolResult"]["status"] == "success"


@pytest.mark.parametrize("streamed", [False, True])
def test_citations_of_a_known_answer_are_shown_with_its_text(streamed: bool) -> None:
    """Checked as those of the model are, and each after the text that it belongs to."""
    cited = {"citationsContent": {"content": [{"text": "art. 5"}], "citations": [{"title": "lei"}]}}
    known = ModelReply(({"text": "Veja: "}, cited), "end_turn", "anthropic.first")
    sources: Any = SimpleNamespace(check=lambda given: SimpleNamespace(block=given, shown={"quote": "5"}, name="lei"))
    runtime, _ = make_runtime(plugins={"cache": answering(lambda _: known)})
    turn, heard = run(runtime, streamed, sources=sources)
    citation = {"quote": "5", "reply": {"start": 6, "end": 12}}
    assert (turn.text, turn.citations) == ("Veja: art. 5", [citation])
    if streamed:
        assert heard == [("delta", {"text": "Veja: "}), ("delta", {"text": "art. 5"}), ("citation", citation)]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_structured_answer_may_be_known(streamed: bool) -> None:
    """It is looked for in what the plugin gave, and handed out once it is valid."""
    known = says('{"a": 1}')
    runtime, _ = make_runtime(plugins={"cache": answering(lambda _: known)}, MODELS=MODELS)
    turn, heard = run(runtime, streamed, response_format=read_format({"type": "json_object"}))
    assert turn.text == '{"a": 1}'
    assert [data["text"] for name, data in heard if name == "delta"] == ['{"a": 1}'] * streamed


def test_the_hook_is_not_called_where_nobody_has_it() -> None:
    """Decided when the pipeline is built: an attempt costs nothing more."""
    runtime, _ = make_runtime(plugins={"recorder": Recorder()})
    called: list[str] = []
    pipeline: Any = runtime.current.pipeline
    pipeline._manager.add_hookcall_monitoring(lambda name, *_: called.append(name), lambda *_: None)
    run(runtime, streamed=False)
    assert "rom_model_attempt" in called
    assert not {"rom_model_send", "rom_text", "rom_model_request"}.intersection(called)
