"""Legal tools: case numbers, procedural deadlines, and looking a case up in DataJud, for Brazilian legal work.

Settings: LEGAL_TOOLS_ENABLED (switch), LEGAL_EXTRA_HOLIDAYS, DATAJUD_API_KEY, DATAJUD_URL. Hooks: rom_settings,
rom_tools. All tools are repeatable: asking about another case or date is no repetition.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta, timezone
from typing import Any

from plugins.legal_tools import datajud
from plugins.legal_tools.case_number import FORMAT, CaseNumber, explain, parse
from plugins.legal_tools.deadline_answer import answer, missing
from plugins.legal_tools.deadlines import FIRST_DAY, LAST_DAY, MAX_DAYS, parse_holidays
from plugins.legal_tools.electronic import SERVICES
from rom_core.markers import hookimpl
from rom_core.settings import Rule, Setting, Settings, address_problem
from rom_core.tools import Tool, ToolContext, ToolError

_BRASILIA = timezone(timedelta(hours=-3))
_LOOK_UP_SECONDS = 25.0

_NUMBER_DESCRIPTION = (
    "Valida e explica um número de processo judicial brasileiro (numeração única do CNJ): confere os dígitos "
    "verificadores e informa ano, ramo da Justiça, tribunal e unidade de origem; se houver erro, diz qual. "
    "Use sempre que um número de processo aparecer na conversa ou for citado em uma peça. "
    "Não consulta o tribunal: não informa andamento nem prova que o processo existe."
)
# The pattern is loose and unanchored: a wrong number must reach the tool, which can say what is wrong. Spaces are taken
# between the fields of a full number only, or two numbers that follow each other would look like one.
_DASH = r"\-\u2010-\u2015\u2212"
_FIELDS = f"[ .{_DASH}]{{0,3}}".join(f"[0-9]{{{digits}}}" for digits in (7, 2, 4, 1, 2, 4))
_NUMBER_INPUT = {
    "type": "object",
    "properties": {
        "numero": {
            "type": "string",
            "description": f"O número como foi escrito, sem corrigir nem completar; formato usual {FORMAT}.",
            "pattern": f"[0-9][0-9.{_DASH}]{{13,}}[0-9]|{_FIELDS}",
        }
    },
    "required": ["numero"],
    "additionalProperties": False,
}
_DEADLINE_DESCRIPTION = (
    "Calcula o vencimento de um prazo processual em dias úteis pelo CPC (arts. 219, 220 e 224): exclui o dia do "
    "começo, pula fins de semana, feriados nacionais, Carnaval, Sexta-feira da Paixão, Corpus Christi, Dia da Justiça "
    "e o recesso de 20 de dezembro a 20 de janeiro, e diz quais dias pulou e por quê. Use sempre que a resposta "
    "depender de um prazo; não conte de cabeça. Não conhece feriados locais nem suspensões de cada tribunal: repita "
    "esse aviso na resposta. Não serve para prazos em dias corridos: os do processo penal (CPP, art. 798), os "
    "materiais, prescrição e decadência. Citações e intimações eletrônicas (Domicílio Judicial Eletrônico, DJEN) "
    "seguem a Resolução CNJ 455/2022, alterada pela 569/2024. Nunca suponha a data, o evento ou o número de dias: "
    "omita o que não foi dito, e a resposta diz o que perguntar."
)
_DEADLINE_INPUT = {
    "type": "object",
    "properties": {
        "data": {
            "type": "string",
            "description": "O dia do evento, no formato AAAA-MM-DD.",
            "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
        },
        "evento": {
            "enum": ["disponibilizacao", "publicacao", "intimacao", *SERVICES],
            "description": (
                "O que houve nesse dia: disponibilizacao no DJEN ou outro Diário (a publicação é o dia útil seguinte), "
                "publicacao, ou intimacao/citação já considerada realizada. No Domicílio Judicial Eletrônico: "
                "citacao_confirmada e intimacao_confirmada no dia da confirmação; intimacao_nao_confirmada, "
                "citacao_nao_confirmada_ente_publico e citacao_nao_confirmada_empresa (empresa privada ou pessoa "
                "física) no dia do envio. Se não souber, omita."
            ),
        },
        "dias": {"type": "integer", "minimum": 1, "maximum": MAX_DAYS, "description": "Dias úteis do prazo simples."},
        "em_dobro": {
            "type": "boolean",
            "description": (
                "Prazo em dobro: Ministério Público, Fazenda Pública, Defensoria Pública, ou litisconsortes com "
                "procuradores de escritórios distintos, só em autos físicos (CPC, art. 229, caput e § 2º)."
            ),
        },
        "justica_federal": {
            "type": "boolean",
            "description": "Processo na Justiça Federal ou em tribunal superior: soma os feriados da Lei 5.010/1966.",
        },
    },
    "additionalProperties": False,
}
_LOOK_UP_DESCRIPTION = (
    "Consulta um processo na API pública DataJud do CNJ pelo número: classe, assuntos, órgão julgador, data de "
    "ajuizamento e os últimos movimentos. O tribunal é deduzido do número. Os dados chegam com atraso de dias e não "
    "incluem processos em segredo de justiça; não prova que um processo não existe."
)


class LegalTools:
    """The plugin; `today` gives the current date, by default that of Brasília."""

    def __init__(self, today: Callable[[], date] | None = None) -> None:
        self._today = today or (lambda: datetime.now(_BRASILIA).date())
        self._tools = (
            Tool(
                "numero_processo",
                _NUMBER_DESCRIPTION,
                _NUMBER_INPUT,
                self._number,
                repeatable=True,
                label="conferindo o número do processo",
            ),
            Tool(
                "prazo_processual",
                _DEADLINE_DESCRIPTION,
                _DEADLINE_INPUT,
                self._deadline,
                repeatable=True,
                label="contando o prazo",
                card="deadline",
            ),
            Tool(
                "consulta_processo",
                _LOOK_UP_DESCRIPTION,
                _NUMBER_INPUT,
                self._look_up,
                timeout=_LOOK_UP_SECONDS,
                repeatable=True,
                label="consultando DataJud",
            ),
        )

    @hookimpl
    def rom_settings(self) -> Sequence[Setting | Rule]:
        """The switch, the holidays of the place, and how to reach DataJud."""
        return [
            Setting("LEGAL_TOOLS_ENABLED", bool, True, "Tools for Brazilian legal work.", switch=True),
            Setting(
                "LEGAL_EXTRA_HOLIDAYS",
                list,
                (),
                "Further days without court business, each as `2026-07-09` or `2026-07-09 its name`.",
                item=str,
            ),
            Setting("DATAJUD_API_KEY", str, "", "Key of CNJ's public DataJud API.", secret=True),
            Setting("DATAJUD_URL", str, datajud.URL, "Where the DataJud API is.", sensitive=True),
            Rule(("LEGAL_EXTRA_HOLIDAYS",), _holidays_are_dates),
            Rule(("DATAJUD_URL",), _is_url),
            Rule(("DATAJUD_API_KEY",), _is_key),
        ]

    @hookimpl
    def rom_tools(self) -> Sequence[Tool]:
        """`numero_processo`, `prazo_processual`, `consulta_processo`."""
        return self._tools

    def _number(self, arguments: dict[str, Any], _context: ToolContext) -> dict[str, Any]:
        return explain(arguments["numero"], self._today()).as_dict()

    def _deadline(self, arguments: dict[str, Any], context: ToolContext) -> dict[str, Any]:
        if (question := missing(arguments)) is not None:
            return question
        try:
            day = date.fromisoformat(arguments["data"])
        except ValueError:
            raise ToolError(f"A data {arguments['data']!r} não existe no calendário; use AAAA-MM-DD.") from None
        if not FIRST_DAY <= day <= LAST_DAY:
            raise ToolError(f"A data precisa estar entre {FIRST_DAY:%d/%m/%Y} (vigência do CPC) e {LAST_DAY:%d/%m/%Y}.")
        return answer(
            day,
            arguments["evento"],
            int(arguments["dias"]),
            doubled=arguments.get("em_dobro", False),
            federal=arguments.get("justica_federal", False),
            extra=parse_holidays(context.settings.LEGAL_EXTRA_HOLIDAYS),
        )

    def _look_up(self, arguments: dict[str, Any], context: ToolContext) -> dict[str, Any]:
        return datajud.look_up(
            self._valid(arguments["numero"]),
            context.settings.DATAJUD_API_KEY,
            context.deadline,
            context.cancel,
            base=context.settings.DATAJUD_URL,
            trace_headers=context.trace_headers,
        )

    def _valid(self, text: str) -> CaseNumber:
        """The number, or a ToolError that says what is wrong with it: nobody is asked about a wrong one."""
        explained = explain(text, self._today())
        if not explained.valid:
            raise ToolError(explained.explanation)
        return parse(text)


def _holidays_are_dates(settings: Settings) -> str | None:
    try:
        parse_holidays(settings.LEGAL_EXTRA_HOLIDAYS)
    except ValueError as error:
        return str(error)
    return None


def _is_key(settings: Settings) -> str | None:
    key = settings.DATAJUD_API_KEY.strip()
    if key.isascii() and key.isprintable() and " " not in key:
        return None
    return "must be the key alone, without `APIKey` before it: printable ASCII without spaces"


def _is_url(settings: Settings) -> str | None:
    return address_problem(settings.DATAJUD_URL)
