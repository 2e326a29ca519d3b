"""The documentation cannot lie: generated pages are up to date, nothing is missing, and the code in it runs."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from falcon import testing
from support import Recorder, Toolkit, asks, make_runtime, make_settings, make_turn, says, tool

from local_bedrock import LocalBedrock
from plugins.metrics import Metrics
from plugins.request_log.fields import describe
from rom_core import hookspecs
from rom_core.concurrency.clock import FakeClock
from rom_core.errors import RomError, TurnCancelled, family
from rom_core.http.app import create_app
from rom_core.http.routes.chat import CHAT_REQUEST
from rom_core.ops import reference
from rom_core.plugin.catalogue import Catalogue
from rom_core.settings import CORE_SETTINGS, texts
from rom_core.testing import MakeApp

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def page(name: str) -> str:
    """The text of a page."""
    return (DOCS / name).read_text(encoding="utf-8")


def codes(name: str) -> list[str]:
    """The Python blocks of a page."""
    return re.findall(r"^```python\n(.*?)^```", page(name), re.DOTALL | re.MULTILINE)


def test_generated_pages_are_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    """hooks.md, reference.md and configuration.md are what the declarations say now."""
    monkeypatch.chdir(ROOT)
    assert reference.main(["--check"]) == 0, f"run `{reference.COMMAND}`"


def test_a_page_that_is_out_of_date_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--check names it and fails; writing puts it right."""
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path)
    assert reference.main(["--check"]) == 1
    assert "docs/hooks.md is out of date" in capsys.readouterr().err
    assert reference.main([]) == 0
    assert reference.main(["--check"]) == 0
    (tmp_path / "docs" / "hooks.md").write_text("old")
    assert reference.main(["--check"]) == 1


def test_every_hook_has_its_section_with_its_arguments() -> None:
    """hooks.md shows each hook with exactly the arguments of its specification, and an example."""
    text = page("hooks.md")
    for name in (attribute for attribute in vars(hookspecs) if attribute.startswith("rom_")):
        section = text.partition(f"### {name}\n")[2].partition("\n###")[0]
        shown = re.search(rf"`{name}\((.*?)\)", section)
        assert shown is not None, name
        arguments = [argument.split(":")[0].strip() for argument in re.sub(r"\[.*?\]", "", shown[1]).split(",")]
        code = getattr(hookspecs, name).__code__
        assert [argument for argument in arguments if argument] == list(code.co_varnames[: code.co_argcount])
        assert f"def {name}(self" in section


def test_every_setting_is_documented() -> None:
    """configuration.md has a row for each declared setting of the core and of the built-in plugins."""
    text = page("configuration.md")
    built_in = [
        setting
        for plugin in Catalogue.installed(hookspecs).plugins.values()
        if type(plugin.instance).__module__.startswith("plugins.")
        for setting in plugin.settings
    ]
    assert len(built_in) > 10
    for setting in (*CORE_SETTINGS, *built_in):
        assert text.count(f"\n| `{setting.name}` | {setting.type.__name__}") == 1, setting.name
        assert setting.help.replace("|", "\\|") in text


def test_every_error_code_is_documented_with_its_status() -> None:
    """The table of api.md has exactly the codes that the errors have, with their statuses."""
    known = {(error.code, str(error.status)) for error in family(RomError) if not issubclass(error, TurnCancelled)}
    assert set(re.findall(r"^\| `(\w+)` \| (\d{3}) \|", page("api.md"), re.MULTILINE)) == known


def test_the_texts_of_errors_that_the_page_shows_are_true() -> None:
    """The error of api.md is told as it says, and its settings.toml is one that the server starts with."""
    shown = re.findall(r'"user_message": "(.*?)"', page("api.md"))
    assert set(shown) == {texts.ERRORS["unknown_model"]}
    (example,) = re.findall(r"^```toml\n(.*?)^```", page("api.md"), re.DOTALL | re.MULTILINE)
    given = tomllib.loads(example)["default"]["TEXT_ERRORS"]
    merged = make_settings(TEXT_ERRORS=given).TEXT_ERRORS
    assert dict(merged) == texts.ERRORS | given


def test_every_route_of_the_core_is_documented() -> None:
    """api.md names each path that is served without plugins."""
    runtime, _ = make_runtime()
    for path in create_app(runtime).resources:
        assert f" {path}`" in page("api.md"), path


def test_every_field_of_a_request_is_documented() -> None:
    """The table of POST /api/chat has a row for each field that the schema knows."""
    section = page("api.md").partition("## POST /api/chat")[2].partition("The answer:")[0]
    rows = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert rows == list(CHAT_REQUEST.schema["properties"])


@pytest.fixture
def disclaimer(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The plugin of plugins.md, as the module that the page says it is."""
    module = ModuleType("plugins.disclaimer")
    monkeypatch.setitem(sys.modules, "plugins.disclaimer", module)
    exec(compile(codes("plugins.md")[0], "plugins.md", "exec"), vars(module))
    return module


def test_the_plugin_of_the_page_passes_the_test_of_the_page(disclaimer: ModuleType) -> None:
    """What a reader copies works, and the test shown is the one that says so."""
    assert disclaimer.Disclaimer
    shown: dict[str, object] = {}
    exec(compile(codes("plugins.md")[1], "plugins.md", "exec"), shown)
    tests = [value for name, value in shown.items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        assert callable(test)
        test()


def test_a_distribution_of_its_own_can_test_its_plugin(
    disclaimer: ModuleType, bedrock_local: LocalBedrock, rom_app: MakeApp
) -> None:
    """The test that the page shows for it needs nothing but what is installed, and passes."""
    assert disclaimer.Disclaimer
    code = codes("plugins.md")[2]
    assert "support" not in code
    shown: dict[str, Any] = {}
    exec(compile(code, "plugins.md", "exec"), shown)
    shown["test_the_sentence_over_http"](rom_app, bedrock_local)
    assert len(bedrock_local.requests) == 2


def test_the_tool_of_the_page_runs_in_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is offered, validated and run; its own error reaches the model in its words."""
    module = ModuleType("interest")
    monkeypatch.setitem(sys.modules, "interest", module)
    exec(compile(codes("plugins.md")[3], "plugins.md", "exec"), vars(module))
    asked = asks(("juros_simples", {"principal": 1000, "meses": 3}), ("juros_simples", {"principal": 1, "meses": 1300}))
    runtime, transport = make_runtime(asked, says("ok"), plugins={"interest": module.Interest()})
    runtime.run(make_turn(runtime))
    results = [block["toolResult"] for block in transport.requests[1]["messages"][-1]["content"]]
    assert [result["status"] for result in results] == ["success", "error"]
    assert results[0]["content"] == [{"json": {"juros": 30.0}}]
    assert "cem anos" in results[1]["content"][0]["text"]
    runtime.stop()


def test_the_route_of_the_page_tells_what_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    """It validates, answers and emits; the request log writes the event as the page says; off it is 404."""
    module = ModuleType("opinions")
    monkeypatch.setitem(sys.modules, "opinions", module)
    exec(compile(codes("plugins.md")[4], "plugins.md", "exec"), vars(module))
    for on, statuses in ((True, [204, 422]), (False, [404, 404])):
        recorder = Recorder()
        plugins = {"opinions": module.Opinions(), "recorder": recorder}
        runtime, _ = make_runtime(plugins=plugins, OPINIONS_ENABLED=on)
        client = testing.TestClient(create_app(runtime))
        answers = [client.simulate_post("/opinions", json=body) for body in ({"good": True}, {"good": "yes"})]
        assert [answer.status_code for answer in answers] == statuses
        told = [describe(event) for event in recorder.events if event.name == "opinions.given"]
        assert told == ([{"good": True, "trace_id": answers[0].headers["X-Trace-Id"]}] if on else [])


def test_the_route_of_the_page_lets_in_whom_its_setting_names() -> None:
    """By the names of keys, for one of its methods."""
    shown: dict[str, Any] = {}
    exec(compile(codes("plugins.md")[5], "plugins.md", "exec"), shown)
    keys = {name: f"{name}-key-0123456789abcdef" for name in ("ana", "bia")}
    runtime, _ = make_runtime(
        plugins={"notices": shown["Notices"]()},
        API_KEYS=",".join(f"{name}={key}" for name, key in keys.items()),
        NOTICES_EDITORS=["ana"],
    )
    client = testing.TestClient(create_app(runtime))

    def ask(method: str, name: str) -> Any:
        body = {"text": "oi"} if method == "POST" else None
        return client.simulate_request(method, "/notice", json=body, headers={"X-Api-Key": keys[name]})

    assert [ask("POST", name).status_code for name in ("ana", "bia")] == [204, 403]
    assert ask("GET", "bia").json == {"text": "oi", "by": "ana"}


@pytest.mark.parametrize("streamed", [False, True])
def test_the_filter_of_the_page_changes_the_text_however_it_is_cut(streamed: bool) -> None:
    """Words are whole when they are looked at."""
    shown: dict[str, Any] = {}
    exec(compile(codes("plugins.md")[6], "plugins.md", "exec"), shown)
    filtered = shown["SpelledOutText"]()
    assert "".join(map(filtered.feed, "art. 5 do CPC, CDCs e CDC")) + filtered.close() == (
        "art. 5 do Código de Processo Civil, CDCs e Código de Defesa do Consumidor"
    )
    runtime, _ = make_runtime(says("o CPC"), plugins={"spelled-out": shown["SpelledOut"]()})
    sink = (lambda *_: None) if streamed else None
    assert runtime.run(make_turn(runtime, sink=sink)).reply == "o Código de Processo Civil"


@pytest.mark.parametrize("streamed", [False, True])
def test_the_cache_of_the_page_answers_the_same_request_once_more(streamed: bool) -> None:
    """Until it is too old; another question, and a file that differs, is another request."""
    module = ModuleType("call_cache")
    exec(compile(codes("plugins.md")[7], "plugins.md", "exec"), vars(module))
    clock = FakeClock()
    runtime, transport = make_runtime(says("um"), says("dois"), plugins={"call-cache": module.CallCache()}, clock=clock)

    def ask(question: str) -> str:
        heard: list[str] = []
        sink = (lambda name, data: heard.append(data.get("text", ""))) if streamed else None
        reply = runtime.run(make_turn(runtime, question, sink=sink)).reply
        assert "".join(heard) == (reply if streamed else "")
        return reply

    assert [ask("a"), ask("a"), ask("b"), ask("a")] == ["um", "um", "dois", "um"]
    assert len(transport.requests) == 2
    files = [SimpleNamespace(request={"file": data}) for data in (b"1", b"1", b"2")]
    assert [module.digest(one) == module.digest(files[0]) for one in files] == [True, True, False]
    clock.advance(61)
    assert ask("a") == "dois"


def test_the_figure_of_the_page_is_scraped() -> None:
    """Tools that run are counted by their names, those that a model invents are not."""
    shown: dict[str, Any] = {}
    exec(compile(codes("plugins.md")[8], "plugins.md", "exec"), shown)
    plugins = {"searches": shown["Searches"](), "kit": Toolkit(tool()), "metrics": Metrics()}
    runtime, _ = make_runtime(asks(("look", {}), ("invented", {})), says("ok"), plugins=plugins)
    runtime.start()
    runtime.run(make_turn(runtime))
    text = testing.TestClient(create_app(runtime)).simulate_get("/metrics").text
    runtime.stop()
    assert 'acme_searches_total{tool="look"} 1.0' in text
    assert "invented" not in text


@pytest.mark.parametrize("path", [ROOT / "README.md", *sorted(DOCS.glob("*.md"))], ids=lambda path: path.name)
def test_links_between_pages_lead_somewhere(path: Path) -> None:
    """No page points at a file that is not there."""
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target
