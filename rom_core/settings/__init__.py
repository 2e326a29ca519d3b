"""Settings: declared by the core and the plugins, read from layers, handed out as frozen snapshots."""

from rom_core.settings.addresses import address_problem, is_loopback
from rom_core.settings.core import CORE_SETTINGS
from rom_core.settings.declared import InvalidDeclaration, Rule, Scope, Setting
from rom_core.settings.files import ENVIRONMENTS
from rom_core.settings.keys import MIN_KEY_CHARS, InvalidKeys, parse_api_keys
from rom_core.settings.layers import load_settings
from rom_core.settings.models import Model, PriceBand
from rom_core.settings.problems import InvalidSettings, Problem
from rom_core.settings.rules import CORE_RULES, key_rules
from rom_core.settings.settings import MASK, Settings
from rom_core.settings.values import InvalidValue, Kind, given_value, parse_value, thaw

__all__ = [
    "CORE_RULES",
    "CORE_SETTINGS",
    "ENVIRONMENTS",
    "MASK",
    "MIN_KEY_CHARS",
    "InvalidDeclaration",
    "InvalidKeys",
    "InvalidSettings",
    "InvalidValue",
    "Kind",
    "Model",
    "PriceBand",
    "Problem",
    "Rule",
    "Scope",
    "Setting",
    "Settings",
    "address_problem",
    "given_value",
    "is_loopback",
    "key_rules",
    "load_settings",
    "parse_api_keys",
    "parse_value",
    "thaw",
]
