"""Tools that the tests offer to the deterministic model."""

from __future__ import annotations

from typing import Any

SONNET = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
CASE = "0001234-56.2024.8.26.0100"


def spec(name: str, description: str, **properties: Any) -> dict[str, Any]:
    """A toolSpec whose properties are all required unless marked `optional`."""
    required = [key for key, part in properties.items() if not part.pop("optional", False)]
    schema = {"type": "object", "properties": properties, "required": required}
    return {"name": name, "description": description, "inputSchema": {"json": schema}}


TOOLS = [
    spec("buscar_jurisprudencia", "Busca decisões dos tribunais por tema.", consulta={"type": "string"}),
    spec(
        "consultar_processo",
        "Andamento de um processo judicial.",
        numero={"type": "string", "pattern": r"^\d{7}-\d{2}\.\d{4}\.\d\.\d{2}\.\d{4}$"},
    ),
    spec(
        "calcular_prazo",
        "Calcula o fim de um prazo processual.",
        inicio={"type": "string", "format": "date"},
        dias={"type": "integer", "minimum": 1, "maximum": 365},
        contagem={"type": "string", "enum": ["uteis", "corridos"]},
    ),
]
CONFIG = {"tools": [{"toolSpec": one} for one in TOOLS]}
