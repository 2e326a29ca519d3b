"""Looking a case up: which court is asked, with what, and what becomes of every kind of answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import responses
from responses import matchers

from plugins.legal_tools.case_number import COURTS, CaseNumber, parse
from plugins.legal_tools.datajud import MAX_MOVEMENTS, URL, index_of, look_up
from rom_core.concurrency.cancel import CancelToken, Deadline
from rom_core.concurrency.clock import FakeClock
from rom_core.ops.requesting import DirectSession
from rom_core.tools import ToolError

NUMBER = parse("0000100-68.2008.8.26.0100")
DIGITS = "00001006820088260100"
ADDRESS = f"{URL}/api_publica_tjsp/_search"
KEY = "a-key"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SOURCE = {
    "numeroProcesso": DIGITS,
    "tribunal": "TJSP",
    "grau": "G1",
    "classe": {"codigo": 7, "nome": "Procedimento Comum Cível"},
    "assuntos": [{"codigo": 1, "nome": "Indenização"}, [{"codigo": 2, "nome": "Dano Moral"}]],
    "orgaoJulgador": {"codigo": 9, "nome": "1ª Vara Cível"},
    "dataAjuizamento": "2008-03-01T00:00:00.000Z",
    "dataHoraUltimaAtualizacao": "2026-11-01T10:00:00.000Z",
    "movimentos": [
        {"codigo": 26, "nome": "Distribuição", "dataHora": "2008-03-01T09:00:00.000Z"},
        {"codigo": 22, "nome": "Baixa Definitiva", "dataHora": "2015-05-05T09:00:00.000Z"},
    ],
}


@pytest.fixture(autouse=True)
def network() -> Iterator[responses.RequestsMock]:
    """No request leaves; each that is not foretold is a connection error."""
    with responses.RequestsMock(assert_all_requests_are_fired=True) as mock:
        yield mock


def ask(number: CaseNumber = NUMBER, *, key: str = KEY, seconds: float = 10.0, **more: Any) -> dict[str, Any]:
    """Look a case up."""
    return look_up(number, key, Deadline(FakeClock(), seconds), CancelToken(), **more)


def hits(*sources: Any) -> dict[str, Any]:
    """An answer of the search."""
    return {"hits": {"total": {"value": len(sources)}, "hits": [{"_source": source} for source in sources]}}


def court(branch: str, code: str) -> CaseNumber:
    """A number of that court."""
    return CaseNumber("0000001", "00", "2020", branch, code, "0000")


@pytest.mark.parametrize(
    ("branch", "code", "index"),
    [
        ("8", "26", "tjsp"),
        ("8", "07", "tjdft"),
        ("4", "03", "trf3"),
        ("5", "15", "trt15"),
        ("5", "00", "tst"),
        ("6", "26", "tre-sp"),
        ("6", "07", "tre-dft"),
        ("6", "00", "tse"),
        ("3", "00", "stj"),
        ("7", "00", "stm"),
        ("7", "05", "stm"),
        ("9", "13", "tjmmg"),
    ],
)
def test_the_court_follows_from_the_number(branch: str, code: str, index: str) -> None:
    """Each court has an index of its own; the military districts are the STM's."""
    assert index_of(court(branch, code)) == f"api_publica_{index}"


def test_every_court_has_an_index_or_a_reason() -> None:
    """Only the STF and the councils are not in DataJud."""
    without = set()
    for branch, courts in COURTS.items():
        for code, found in courts.items():
            try:
                assert index_of(court(branch, code)).startswith("api_publica_")
            except ToolError:
                without.add(found.acronym)
    assert without == {"STF", "CNJ", "CJF", "CSJT"}
    with pytest.raises(ToolError, match="não existe"):
        index_of(court("8", "99"))


def test_a_case_that_is_there(network: responses.RequestsMock) -> None:
    """The question is the 20 digits with key and trace; the answer is short, newest movement first."""
    network.post(
        ADDRESS,
        json=hits(SOURCE),
        match=[
            matchers.header_matcher({"Authorization": f"APIKey {KEY}", "traceparent": TRACE}),
            matchers.json_params_matcher({"query": {"match": {"numeroProcesso": DIGITS}}, "size": 10}),
        ],
    )
    told = ask(trace_headers={"traceparent": TRACE})
    assert told["found"]
    assert told["cases"] == [
        {
            "court": "TJSP",
            "instance": "G1",
            "class": "Procedimento Comum Cível",
            "subjects": ["Indenização", "Dano Moral"],
            "body": "1ª Vara Cível",
            "filed": "2008-03-01T00:00:00.000Z",
            "updated": "2026-11-01T10:00:00.000Z",
            "movements_total": 2,
            "movements": [
                {"at": "2015-05-05T09:00:00.000Z", "name": "Baixa Definitiva"},
                {"at": "2008-03-01T09:00:00.000Z", "name": "Distribuição"},
            ],
        }
    ]
    assert "api_publica_tjsp" in told["source"]


def test_no_traceparent_goes_out_when_there_is_none(network: responses.RequestsMock) -> None:
    """An empty header is no header."""
    network.post(ADDRESS, json=hits())
    ask()
    assert "traceparent" not in network.calls[0].request.headers


def test_a_case_that_is_not_there_may_exist_all_the_same(network: responses.RequestsMock) -> None:
    """Nothing found, or other numbers only, is an answer with its caveat, not an error."""
    network.post(ADDRESS, json=hits(SOURCE | {"numeroProcesso": "0" * 20}))
    told = ask()
    assert (told["found"], told["cases"]) == (False, [])
    assert "não prova que ele não existe" in told["explanation"]


def test_only_the_newest_movements_are_told(network: responses.RequestsMock) -> None:
    """A long history is cut, and its length told."""
    movements = [{"nome": f"m{n}", "dataHora": f"2020-01-01T00:{n:02d}:00"} for n in range(50)]
    network.post(ADDRESS, json=hits(SOURCE | {"movimentos": movements}))
    (case,) = ask()["cases"]
    assert (case["movements_total"], len(case["movements"])) == (50, MAX_MOVEMENTS)
    assert case["movements"][0]["name"] == "m49"


def test_fields_that_are_missing_or_odd_are_null(network: responses.RequestsMock) -> None:
    """Courts send what they have."""
    network.post(ADDRESS, json=hits({"numeroProcesso": DIGITS, "classe": "x", "assuntos": None, "movimentos": [None]}))
    (case,) = ask()["cases"]
    assert (case["class"], case["subjects"], case["movements"], case["court"]) == (None, [], [], None)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, "DATAJUD_API_KEY"),
        (403, "DATAJUD_API_KEY"),
        (404, "não tem este tribunal"),
        (429, "limitou"),
        (500, "HTTP 500"),
        (504, "HTTP 504"),
        (302, "HTTP 302"),
    ],
)
def test_a_refusal_says_what_to_do(network: responses.RequestsMock, status: int, reason: str) -> None:
    """Each status has its own sentence; a redirect, which would take the key elsewhere, is not followed."""
    network.post(ADDRESS, status=status, headers={"Location": "http://elsewhere/"} if status == 302 else {})
    with pytest.raises(ToolError, match=reason):
        ask()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (requests.ConnectTimeout(), "a tempo"),
        (requests.ReadTimeout(), "a tempo"),
        (requests.ConnectionError("https://user:hidden@proxy"), "falha de rede"),
        (requests.exceptions.ChunkedEncodingError(), "falha de rede"),
    ],
)
def test_a_broken_connection_is_a_sentence(network: responses.RequestsMock, error: Exception, reason: str) -> None:
    """No exception of the HTTP library, nor its text, gets to the model."""
    network.post(ADDRESS, body=error)
    with pytest.raises(ToolError, match=reason) as caught:
        ask()
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("partial", [{"timed_out": True}, {"_shards": {"total": 5, "failed": 1}}])
def test_a_search_that_was_not_finished_is_no_answer_that_there_is_nothing(
    network: responses.RequestsMock, partial: dict[str, Any]
) -> None:
    """Elasticsearch answers 200 with what it found so far: a case that is found is one, a missing one is unknown."""
    network.post(ADDRESS, json=hits() | partial)
    with pytest.raises(ToolError, match="não concluiu a busca"):
        ask()
    network.replace("POST", ADDRESS, json=hits(SOURCE) | partial)
    assert ask()["explanation"].startswith("O DataJud tem 1 registro do processo")
    network.replace("POST", ADDRESS, json=hits(SOURCE, SOURCE) | {"timed_out": False, "_shards": {"failed": 0}})
    assert ask()["explanation"].startswith("O DataJud tem 2 registros do processo")


@pytest.mark.parametrize("body", ["[" * 100_000, "<html>", "[]", '{"hits": 1}', '{"hits": {"hits": [{}]}}', "null"])
def test_what_is_no_answer_is_said_to_be_none(network: responses.RequestsMock, body: str) -> None:
    """HTML, or JSON of another shape."""
    network.post(ADDRESS, body=body)
    with pytest.raises(ToolError, match=r"DataJud respondeu"):
        ask()


def test_without_a_key_nobody_is_asked() -> None:
    """The message names the setting."""
    with pytest.raises(ToolError, match="DATAJUD_API_KEY"):
        ask(key=" ")


def test_without_time_nobody_is_asked() -> None:
    """A deadline that has passed is said to have."""
    with pytest.raises(ToolError, match="mais tempo"):
        ask(seconds=0)


def test_the_timeouts_are_never_longer_than_the_time_left(
    network: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connecting and reading are bounded by what is left, and by limits of their own."""
    given: list[Any] = []
    real = DirectSession.post

    def noting(*arguments: Any, **options: Any) -> Any:
        given.append(options["timeout"])
        return real(*arguments, **options)

    monkeypatch.setattr(DirectSession, "post", noting)
    network.post(ADDRESS, json=hits())
    network.post(ADDRESS, json=hits())
    ask(seconds=3.0)
    ask(seconds=300.0)
    assert given == [(3.0, 3.0), (5.0, 20.0)]


def test_an_answer_that_comes_too_slowly_or_too_late_is_given_up(network: responses.RequestsMock) -> None:
    """The deadline and the cancel token hold while the body is read."""
    clock = FakeClock()

    def late(_request: Any) -> tuple[int, dict[str, str], str]:
        clock.advance(60)
        return 200, {}, json.dumps(hits(SOURCE))

    network.add_callback(responses.POST, ADDRESS, callback=late)
    with pytest.raises(ToolError, match="a tempo"):
        look_up(NUMBER, KEY, Deadline(clock, 10), CancelToken())
    cancelled = CancelToken()
    cancelled.cancel("client_gone")
    network.post(ADDRESS, json=hits(SOURCE))
    with pytest.raises(ToolError, match="a tempo"):
        look_up(NUMBER, KEY, Deadline(FakeClock(), 10), cancelled)


def test_an_answer_that_is_too_large_is_not_read(
    network: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is bounded whatever the other side sends."""
    monkeypatch.setattr("plugins.legal_tools.datajud._MAX_BYTES", 1000)
    network.post(ADDRESS, body="x" * 2000)
    with pytest.raises(ToolError, match="grande demais"):
        ask()
