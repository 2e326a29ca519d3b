"""The plugin: its tools and settings, as the core and the documentation see them."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import responses
from support import asks, make_runtime, make_settings, make_turn, says

from plugins.legal_tools import LegalTools
from rom_core import hookspecs
from rom_core.plugin.catalogue import Catalogue, inspect_plugin
from rom_core.settings import InvalidSettings

PAGE = Path(__file__).parents[3] / "docs" / "legal_tools.md"
NUMBER = "0000100-68.2008.8.26.0100"
TODAY = date(2026, 6, 30)


def run(name: str, arguments: dict[str, Any], **values: Any) -> tuple[str, Any]:
    """The status and the content of the tool's result in a turn whose model asks for it."""
    runtime, transport = make_runtime(
        asks((name, arguments)), says("ok"), plugins={"legal_tools": LegalTools(lambda: TODAY)}, **values
    )
    turn = make_turn(runtime)
    turn.trace_id = "0af7651916cd43dd8448eb211c80319c"
    runtime.run(turn)
    result = transport.requests[1]["messages"][-1]["content"][0]["toolResult"]
    (content,) = result["content"]
    runtime.stop()
    return result["status"], content.get("json") or content["text"]


def test_the_plugin_keeps_the_contract() -> None:
    """It is switched by LEGAL_TOOLS_ENABLED, on by default; its three tools are valid, repeatable, and labelled."""
    plugin = inspect_plugin(hookspecs, "legal_tools", LegalTools())
    assert plugin.hooks == ("rom_settings", "rom_tools")
    assert plugin.switch == "LEGAL_TOOLS_ENABLED"
    assert plugin.settings[0].default is True
    tools = plugin.instance.rom_tools()
    assert [tool.name for tool in tools] == ["numero_processo", "prazo_processual", "consulta_processo"]
    for tool in tools:
        tool.check()
        assert tool.repeatable
        assert tool.label


def test_the_model_reads_what_deadlines_the_tool_is_not_for() -> None:
    """Criminal procedure is named with its article; art. 229 doubles only on paper and between different firms."""
    tool = LegalTools().rom_tools()[1]
    assert "Não serve para prazos em dias corridos: os do processo penal (CPP, art. 798)" in tool.description
    doubled = tool.input_schema["properties"]["em_dobro"]["description"]
    assert "escritórios distintos, só em autos físicos (CPC, art. 229, caput e § 2º)" in doubled


def test_the_page_describes_the_plugin() -> None:
    """docs/legal_tools.md has a section for every tool, and names every input field and setting."""
    page = PAGE.read_text(encoding="utf-8")
    plugin = inspect_plugin(hookspecs, "legal_tools", LegalTools())
    for tool in plugin.instance.rom_tools():
        assert f"## `{tool.name}`" in page
        assert all(f'"{field}"' in page for field in tool.input_schema["properties"])
    for setting in plugin.settings:
        assert f"| `{setting.name}` |" in page


def test_a_deadline_in_a_turn() -> None:
    """The tool counts with the holidays that the turn's settings hold."""
    asked = {"data": "2026-07-08", "evento": "publicacao", "dias": 1}
    status, told = run("prazo_processual", asked)
    assert (status, told["deadline"]) == ("success", "2026-07-09")
    _, told = run("prazo_processual", asked, LEGAL_EXTRA_HOLIDAYS=["2026-07-09 Revolução Constitucionalista"])
    assert told["deadline"] == "2026-07-10"
    _, told = run("prazo_processual", asked | {"dias": 5.0, "em_dobro": True, "justica_federal": True})
    assert told["days_counted"] == 10


def test_a_deadline_without_a_date_is_a_question() -> None:
    """Asked for a deadline without more, the tool names what it needs and invents nothing."""
    status, told = run("prazo_processual", {"dias": 15})
    assert (status, told["deadline"], told["missing"]) == ("success", None, ["data", "evento"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"data": "2026-02-30"}, "não existe no calendário"),
        ({"data": "2016-03-17"}, "vigência do CPC"),
        ({"data": "30/06/2026"}, "does not match"),
        ({"dias": 0}, "minimum"),
        ({"dias": 366}, "maximum"),
        ({"evento": "citado"}, "not one of"),
        ({"uf": "SP"}, "Additional properties"),
    ],
)
def test_a_deadline_that_cannot_be_counted_says_why(change: dict[str, Any], reason: str) -> None:
    """The model reads what is wrong and can ask again."""
    status, told = run("prazo_processual", {"data": "2026-06-01", "evento": "intimacao", "dias": 5} | change)
    assert (status, reason in told) == ("error", True), told


@responses.activate
def test_a_case_is_looked_up_with_the_turns_key_and_trace() -> None:
    """Key and address come from the settings, the trace id from the turn."""
    responses.post("https://datajud.test/api_publica_tjsp/_search", json={"hits": {"hits": []}})
    settings = {"DATAJUD_API_KEY": "a-key", "DATAJUD_URL": "https://datajud.test/"}
    status, told = run("consulta_processo", {"numero": NUMBER}, **settings)
    assert (status, told["found"]) == ("success", False)
    headers = responses.calls[0].request.headers
    assert headers["Authorization"] == "APIKey a-key"
    assert "0af7651916cd43dd8448eb211c80319c" in headers["traceparent"]


def test_a_wrong_number_is_not_looked_up() -> None:
    """What cannot be a case is explained, as the tool for numbers does; nobody is asked."""
    status, told = run("consulta_processo", {"numero": NUMBER.replace("-68", "-69")}, DATAJUD_API_KEY="a-key")
    assert (status, "dígitos verificadores" in told) == ("error", True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LEGAL_EXTRA_HOLIDAYS", ["09/07/2026"]),
        ("DATAJUD_URL", "datajud"),
        ("DATAJUD_URL", ""),
        ("DATAJUD_URL", "http://datajud.test"),
        ("DATAJUD_URL", "https://[::1"),
        ("DATAJUD_API_KEY", "APIKey a-key"),
        ("DATAJUD_API_KEY", "a-k\u00e9y"),
        ("DATAJUD_API_KEY", "a\nkey"),
    ],
)
def test_settings_that_mean_nothing_stop_the_start(name: str, value: Any) -> None:
    """A holiday that is no date, an address that is no URL, a key that cannot be sent: found before a turn is."""
    with pytest.raises(InvalidSettings, match=name) as caught:
        make_settings(Catalogue.of(hookspecs, legal_tools=LegalTools()), **{name: value})
    assert name != "DATAJUD_API_KEY" or value not in str(caught.value)
    make_settings(Catalogue.of(hookspecs, legal_tools=LegalTools()), DATAJUD_API_KEY="a-key")
    make_settings(Catalogue.of(hookspecs, legal_tools=LegalTools()), DATAJUD_URL="http://127.0.0.1:9000")
