"""Structured answers: an answer that is to be JSON of a certain form, and is checked before it is handed out.

The modules: `schema` (what a client may ask for), `checking` (validation at a bounded cost), `native` (the schema as
Bedrock takes it), `ways` (how a model is asked for it), `answers` (what a reply holds, and what becomes of it).
"""

from rom_core.structured.answers import StructuredAnswer
from rom_core.structured.schema import RESPONSE_FORMAT, read_format

__all__ = ["RESPONSE_FORMAT", "StructuredAnswer", "read_format"]
