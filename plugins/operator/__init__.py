"""For the operator's console and `rom top`: live figures, turns now and lately, drain."""

from plugins.operator.plugin import OperatorPlugin

__all__ = ["OperatorPlugin"]
