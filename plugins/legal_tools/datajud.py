"""Looking a case up in DataJud, the public API of the Conselho Nacional de Justiça.

One index for each court, named after it; a search for the 20 digits of the number answers the case's metadata and
movements, as Elasticsearch hits: https://datajud-wiki.cnj.jus.br/api-publica/. The courts send the data themselves,
some days late, and cases under secrecy are not there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from plugins.legal_tools.case_number import COURTS, CaseNumber
from rom_core import __version__
from rom_core.concurrency.cancel import CancelToken, Deadline
from rom_core.tools import ToolError

if TYPE_CHECKING:
    import requests

URL = "https://api-publica.datajud.cnj.jus.br"
MAX_MOVEMENTS = 20
_CONNECT_SECONDS = 5.0
_READ_SECONDS = 20.0
_MAX_BYTES = 8 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024
_SUPERIOR = {"3": "stj", "5": "tst", "6": "tse"}
_LATE = "os tribunais enviam os dados com atraso de dias, e processos em segredo de justiça não aparecem"


def index_of(number: CaseNumber) -> str:
    """The name of the court's index, as `api_publica_tjsp`. Raises ToolError for a court that is not in DataJud."""
    branch, code = number.branch, number.court
    court = COURTS.get(branch, {}).get(code)
    if court is None or court.acronym is None:
        raise ToolError(f"O número {number} indica um tribunal que não existe (J={branch}, TR={code}).")
    if branch in _SUPERIOR and code == "00":
        name = _SUPERIOR[branch]
    elif branch == "7":
        name = "stm"
    elif court.acronym == "TRE-DF":
        name = "tre-dft"
    elif code in ("00", "90"):
        raise ToolError(f"O DataJud não tem processos do órgão {court.name} ({court.acronym}).")
    else:
        name = court.acronym.lower()
    return f"api_publica_{name}"


def look_up(
    number: CaseNumber,
    key: str,
    deadline: Deadline,
    cancel: CancelToken,
    *,
    base: str = URL,
    trace_headers: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """What DataJud knows of the case, as JSON; texts in Portuguese.

    `trace_headers` go out with the request. Ends by `deadline`. Raises ToolError, which tells the model what went wrong
    and whether another try makes sense.
    """
    index = index_of(number)
    if not key.strip():
        raise ToolError("A consulta ao DataJud não está configurada neste servidor: falta a chave DATAJUD_API_KEY.")
    headers = {"Authorization": f"APIKey {key.strip()}", "User-Agent": f"rom-agent/{__version__}", **trace_headers}
    digits = "".join(character for character in str(number) if character.isdigit())
    body = {"query": {"match": {"numeroProcesso": digits}}, "size": 10}
    found = _search(f"{base.rstrip('/')}/{index}/_search", body, headers, deadline, cancel)
    cases = [_case(source) for source in _sources(found) if str(source.get("numeroProcesso", digits)) == digits]
    if cases:
        records = "1 registro" if len(cases) == 1 else f"{len(cases)} registros"
        explanation = f"O DataJud tem {records} do processo {number}, um por grau ou órgão; {_LATE}."
    elif _partial(found):
        raise ToolError("O DataJud não concluiu a busca: não se sabe se tem o processo. Tente de novo mais tarde.")
    else:
        explanation = f"O DataJud não tem o processo {number}. Isso não prova que ele não existe: {_LATE}."
    return {
        "found": bool(cases),
        "number": str(number),
        "source": f"DataJud/CNJ, índice {index}",
        "cases": cases,
        "explanation": explanation,
    }


def _search(
    url: str, body: Mapping[str, Any], headers: Mapping[str, str], deadline: Deadline, cancel: CancelToken
) -> Any:
    import requests

    from rom_core.ops.requesting import DirectSession

    left = deadline.remaining()
    if left <= 0:
        raise ToolError("Não há mais tempo para consultar o DataJud nesta resposta.")
    timeouts = (min(_CONNECT_SECONDS, left), min(_READ_SECONDS, left))
    try:
        with (
            DirectSession() as session,
            session.post(url, json=body, headers=dict(headers), timeout=timeouts, stream=True) as response,
        ):
            _check(response.status_code)
            return json.loads(_read(response, deadline, cancel))
    except requests.Timeout:
        raise ToolError("O DataJud não respondeu a tempo. Tente de novo mais tarde.") from None
    except requests.RequestException:
        raise ToolError("Não foi possível falar com o DataJud (falha de rede). Tente de novo mais tarde.") from None
    except (ValueError, RecursionError):
        raise ToolError("O DataJud respondeu algo que não é JSON. Tente de novo mais tarde.") from None


def _check(status: int) -> None:
    if status == 200:
        return
    if status in (401, 403):
        raise ToolError("O DataJud recusou a chave DATAJUD_API_KEY deste servidor; avise o administrador.")
    if status == 404:
        raise ToolError("O DataJud não tem este tribunal, ou ainda não recebe dados dele. Não repita a consulta.")
    if status == 429:
        raise ToolError("O DataJud limitou o número de consultas. Não repita agora; tente em alguns minutos.")
    raise ToolError(f"O DataJud está indisponível (HTTP {status}). Tente de novo mais tarde.")


def _read(response: requests.Response, deadline: Deadline, cancel: CancelToken) -> bytes:
    """The body, unless it is too large, too slow, or nobody waits for it any more."""
    parts, size = [], 0
    for part in response.iter_content(_CHUNK_BYTES):
        size += len(part)
        if size > _MAX_BYTES:
            raise ToolError("A resposta do DataJud é grande demais para ser lida.")
        if deadline.passed or cancel.cancelled:
            raise ToolError("O DataJud não respondeu a tempo. Tente de novo mais tarde.")
        parts.append(part)
    return b"".join(parts)


def _sources(found: Any) -> list[dict[str, Any]]:
    try:
        hits = found["hits"]["hits"]
        return [hit["_source"] for hit in hits if isinstance(hit["_source"], dict)]
    except (KeyError, TypeError):
        raise ToolError("O DataJud respondeu em um formato inesperado.") from None


def _partial(found: Mapping[str, Any]) -> bool:
    """Whether Elasticsearch says that it did not look everywhere: in time, or on every shard of the index."""
    shards = found.get("_shards")
    return bool(found.get("timed_out")) or (isinstance(shards, dict) and bool(shards.get("failed")))


def _case(source: Mapping[str, Any]) -> dict[str, Any]:
    movements = [item for item in _list(source.get("movimentos")) if isinstance(item, dict)]
    movements.sort(key=lambda item: str(item.get("dataHora", "")), reverse=True)
    return {
        "court": source.get("tribunal"),
        "instance": source.get("grau"),
        "class": _name(source.get("classe")),
        "subjects": [name for name in map(_name, _flat(source.get("assuntos"))) if name],
        "body": _name(source.get("orgaoJulgador")),
        "filed": source.get("dataAjuizamento"),
        "updated": source.get("dataHoraUltimaAtualizacao"),
        "movements_total": len(movements),
        "movements": [{"at": item.get("dataHora"), "name": item.get("nome")} for item in movements[:MAX_MOVEMENTS]],
    }


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _flat(value: Any) -> list[Any]:
    """Some courts send a list within the list."""
    return [inner for item in _list(value) for inner in (item if isinstance(item, list) else [item])]


def _name(value: Any) -> str | None:
    name = value.get("nome") if isinstance(value, dict) else None
    return name if isinstance(name, str) else None
