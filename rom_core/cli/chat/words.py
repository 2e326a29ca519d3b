"""What the terminal says to the person while they talk, in Portuguese as the server's own texts are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

WAITING = "aguardando o modelo"
QUEUED = "na fila"
THINKING = "pensando"
WRITING = "escrevendo"
RECONNECTING = "a conexão caiu; retomando"
INTERRUPTED = "interrompida: o texto acima ficou pela metade"
INTERRUPTED_EARLY = "interrompida"
NOT_CANCELLED = "não foi possível cancelar, a resposta continua no servidor"
RUN_GOES_ON = "a resposta continua no servidor"
RUN_BEGAN = "a resposta é escrita no servidor; para vê-la"
NO_SUCH_COMMAND = "{name} não é um comando; /help mostra os comandos"
NO_SUCH_NUMBER = "não há conversa de número {number}; /list mostra as conversas"
NOTHING_SAID = "nada foi dito ainda"
MORE = "há outras, mais antigas que estas {number}"
HISTORY = "o que você digita fica em {path}, que só a sua conta lê; --no-history o evita"
NO_HISTORY = "o que você digita não será guardado: {path}: {reason}"
STILL_WRITTEN = "a resposta ainda é escrita:"
SOURCES = "Fontes:"
NO_CONVERSATION = "nenhuma conversa está guardada ainda"
BROKEN_OFF = "a resposta parou aqui"
TAKEN_BACK = "o modelo recomeçou: desconsidere o texto acima a partir de “{beginning}”"
HOW_TO_LEAVE = "Ctrl-D sai; /help mostra os comandos"
KEYS = {
    "Enter": "envia; Alt-Enter, ou Esc e Enter, abre outra linha",
    "↑ ↓": "trazem o que já se digitou",
    "Ctrl-C": "interrompe a resposta",
    "Ctrl-D": "sai",
}
WHOLE_ENDS = frozenset({"end_turn", "stop_sequence"})
# Asked for by this command, not by the person.
_OF_OURS = frozenset({"citations", "restart"})
_CUT = "resposta incompleta"
_STOPPED = "as ferramentas foram interrompidas"
_ENDS = {
    "max_tokens": f"{_CUT}: chegou ao tamanho máximo",
    "model_context_window_exceeded": f"{_CUT}: a conversa não cabe mais no modelo",
    "content_filtered": f"{_CUT}: o filtro de conteúdo a cortou",
    "guardrail_intervened": f"{_CUT}: o filtro de conteúdo a cortou",
    "guardrail_hard_limit": f"{_STOPPED}: rodadas demais",
    "guardrail_repetition": f"{_STOPPED}: repetiam-se",
    "guardrail_cycle": f"{_STOPPED}: repetiam-se em círculo",
    "guardrail_budget": f"{_STOPPED}: o limite de gasto foi atingido",
    "loop_cap": f"{_STOPPED}: rodadas demais",
    "tool_use": f"{_CUT}: o modelo pediu uma ferramenta que este terminal não tem",
}
STATES = {"cut": BROKEN_OFF, "failed": "não houve resposta"}


def activity(tools: Sequence[str]) -> str:
    """What runs now: the labels of the running tools, the first two by name."""
    shown = "; ".join(tools[:2])
    return f"{shown} e mais {len(tools) - 2}" if len(tools) > 2 else shown


def label(tool_call: Mapping[str, Any]) -> str:
    """What the tool of this event does, in words; a tool without a label by its name."""
    return str(tool_call.get("label") or f"usando {tool_call['name']}")


def turns(count: int) -> str:
    """How long a conversation is."""
    return "1 turno" if count == 1 else f"{count} turnos"


def seconds(value: float) -> str:
    """A time as people read it: `3 s`, `2 min 5 s`."""
    whole = int(value)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"


def tool_ended(what: str, result: Mapping[str, Any]) -> str:
    """A tool that has run."""
    took = f"{result['duration_ms'] / 1000:.1f} s".replace(".", ",")
    return f"{what}: {took}" if result["status"] == "success" else f"{what}: falhou, {took}"


def marks(answer: Mapping[str, Any]) -> Iterator[str]:
    """What a person must know about an answer beside its text."""
    reason, model = answer["stop_reason"], answer["model"]
    if answer.get("compacted"):
        yield "o começo da conversa foi resumido, para caber no modelo"
    if reason not in WHOLE_ENDS:
        yield f"{_ENDS.get(reason, 'resposta incompleta')} ({reason}, {model})"
    elif answer["degraded"]:
        yield f"respondeu {model}, em lugar do modelo pedido, ou com um texto do servidor ({reason}, {model})"
    ignored = [name for name in answer.get("ignored") or () if name not in _OF_OURS]
    if ignored:
        yield f"sem efeito nesta resposta: {', '.join(map(str, ignored))}"
    if answer.get("stand_in"):
        yield "modelo de demonstração: nada disto vem de um modelo de verdade"


def sources(citations: Sequence[Mapping[str, Any]]) -> list[str]:
    """The places that an answer quotes, one line each, none twice."""
    lines = [f"{one['name']}{_place(one)}: “{' '.join(str(one['quote']).split())}”" for one in citations]
    return [f"[{number}] {line}" for number, line in enumerate(dict.fromkeys(lines), start=1)]


def _place(citation: Mapping[str, Any]) -> str:
    first, last = citation.get("page"), citation.get("last_page")
    if first is None:
        return ""
    return f", p. {first}" if last in (None, first) else f", p. {first}-{last}"
