"""Flags at run time: overrides over the layers, their history, rollback, and a canary beside the stable settings."""

from rom_core.flags.canary import Canary, CanaryBlock
from rom_core.flags.control import Flags
from rom_core.flags.records import Applied, Author
from rom_core.flags.resolve import Layers, Resolved

__all__ = ["Applied", "Author", "Canary", "CanaryBlock", "Flags", "Layers", "Resolved"]
