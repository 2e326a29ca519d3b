"""The plugin office_cases, in the whole app and as a server would find it: through its entry point."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from local_bedrock import LocalBedrock, reply, tool_use
from rom_core.errors import ConfigurationError
from rom_core.testing import MakeApp, RomApp

from rom_office_cases.cases import MAX_BYTES, Unreadable, find, read

LIST = Path(__file__).parents[1] / "cases.csv"
TOOL = "processos_do_escritorio"


def asked(app: RomApp, bedrock: LocalBedrock, wanted: str) -> dict[str, Any]:
    """What the model gets back when it asks the tool, as Converse has it."""
    bedrock.script(tool_use(TOOL, {"busca": wanted}), reply("Pronto."))
    assert app.chat("Como anda o processo?")["reply"] == "Pronto."
    result: dict[str, Any] = bedrock.requests[-1].body["messages"][-1]["content"][0]["toolResult"]
    return result


def test_the_model_finds_a_case_by_number_or_client(rom_app: MakeApp, bedrock_local: LocalBedrock) -> None:
    """With or without punctuation and accents; all of the row, in the tool's own words."""
    app = rom_app(OFFICE_CASES_ENABLED=True, OFFICE_CASES_FILE=str(LIST))
    for wanted in ("0001234-08.2023.8.26.0100", "00012340820238260100", "joao conceicao"):
        result = asked(app, bedrock_local, wanted)["content"][0]["json"]
        assert result["encontrados"] == 1
        assert result["processos"][0]["cliente"] == "João da Conceição"
        assert set(result["processos"][0]) == {"numero", "cliente", "situacao", "responsavel", "prazo"}
    offered = [
        tool["toolSpec"]["name"] for tool in bedrock_local.requests[0].body["toolConfig"]["tools"] if "toolSpec" in tool
    ]
    assert TOOL in offered


def test_every_lookup_is_counted_at_metrics(rom_app: MakeApp, bedrock_local: LocalBedrock, tmp_path: Path) -> None:
    """By outcome, and never by what was asked."""
    copy = tmp_path / "cases.csv"
    copy.write_bytes(LIST.read_bytes())
    app = rom_app(OFFICE_CASES_ENABLED=True, OFFICE_CASES_FILE=str(copy))
    asked(app, bedrock_local, "João")
    asked(app, bedrock_local, "Ninguém")
    copy.unlink()
    failed = asked(app, bedrock_local, "João")
    assert failed["status"] == "error"
    assert str(copy) not in json.dumps(failed)
    metrics = app.metrics()
    for outcome in ("found", "nothing", "failed"):
        assert f'office_cases_lookups_total{{outcome="{outcome}"}} 1.0' in metrics
    assert "Ninguém" not in metrics


def test_switched_off_there_is_no_tool_and_no_figure(rom_app: MakeApp, bedrock_local: LocalBedrock) -> None:
    """The switch alone decides."""
    app = rom_app(OFFICE_CASES_FILE=str(LIST))
    app.chat("Como anda o processo?")
    assert TOOL not in json.dumps(bedrock_local.requests[0].body)
    assert "office_cases_lookups" not in app.metrics()


def test_switched_on_without_a_list_the_server_does_not_start(rom_app: MakeApp) -> None:
    """It says which setting is missing."""
    with pytest.raises(ConfigurationError, match="OFFICE_CASES_FILE"):
        rom_app(OFFICE_CASES_ENABLED=True)


@pytest.mark.parametrize(
    "content", [b"numero,cliente\n1,a\n", "numero,cliente,situação".encode("latin-1"), b"x" * (MAX_BYTES + 1)]
)
def test_a_list_that_cannot_be_read_is_unreadable(tmp_path: Path, content: bytes) -> None:
    """A column that is missing, another encoding, too large a file, none at all."""
    path = tmp_path / "cases.csv"
    with pytest.raises(Unreadable):
        read(path)
    path.write_bytes(content)
    with pytest.raises(Unreadable):
        read(path)


def test_a_number_and_a_name_are_told_apart() -> None:
    """Words must all be in the client's name; digits in the number, from three on."""
    cases = read(LIST)
    assert find(cases, "12") == []
    assert [case["cliente"] for case in find(cases, "silva maria")] == ["Maria da Silva"]
    assert find(cases, "silva pedro") == []
    assert len(find(cases, "8.26.0100")) == 2
