"""dynaconf, which decides whose value counts: one object for each load, steered by nothing but its arguments.

An object of its own each time: dynaconf shows half-loaded values to readers while it reloads in place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from dynaconf.base import Settings as DynaconfSettings
from dynaconf.loaders.base import SourceMetadata

from rom_core.settings.declared import Setting
from rom_core.settings.files import Entry
from rom_core.settings.values import thaw

# Everything by which a *_FOR_DYNACONF variable could add a source, a loader or a cast.
_DYNACONF_OPTIONS: Mapping[str, Any] = MappingProxyType(
    {
        "AUTO_CAST_FOR_DYNACONF": False,
        "CORE_LOADERS_FOR_DYNACONF": [],
        "DEFAULT_ENV_FOR_DYNACONF": "default",
        "DOTTED_LOOKUP_FOR_DYNACONF": False,
        "ENCODING_FOR_DYNACONF": "utf-8",
        "ENVIRONMENTS_FOR_DYNACONF": True,
        "ENVVAR_FOR_DYNACONF": "=",
        "ENVVAR_PREFIX_FOR_DYNACONF": False,
        "FORCE_ENV_FOR_DYNACONF": None,
        "FRESH_VARS_FOR_DYNACONF": [],
        "INCLUDES_FOR_DYNACONF": [],
        "INDEX_SEPARATOR_FOR_DYNACONF": None,
        "LOADERS_FOR_DYNACONF": [],
        "MERGE_ENABLED_FOR_DYNACONF": False,
        "NESTED_SEPARATOR_FOR_DYNACONF": None,
        "PRELOAD_FOR_DYNACONF": [],
        "REDIS_ENABLED_FOR_DYNACONF": False,
        "SECRETS_FOR_DYNACONF": None,
        "SKIP_FILES_FOR_DYNACONF": [],
        "SYSENV_FALLBACK_FOR_DYNACONF": False,
        "VALIDATE_ON_UPDATE_FOR_DYNACONF": False,
        "VAULT_ENABLED_FOR_DYNACONF": False,
    }
)


class Layered(DynaconfSettings):  # type: ignore[misc]  # dynaconf is not typed
    """dynaconf's own settings object, one for each load; the process's environment does not steer it.

    The lazy front `dynaconf.Dynaconf` would reload a module of dynaconf at every load, which threads must not
    do at once.
    """

    @property
    def environ(self) -> Mapping[str, str]:
        """Nothing."""
        return {}

    def put(self, layer: str, values: Mapping[str, Any]) -> None:
        """Lay `values` over everything so far."""
        self.update(
            {name: thaw(value) for name, value in values.items()},
            loader_identifier=SourceMetadata(layer, layer, "global"),
            validate=False,
            dotted_lookup=False,
            merge=False,
        )

    def sources(self) -> dict[str, str]:
        """The layer of each name, by the history that dynaconf keeps in the order of loading."""
        return {name: source.loader for source, values in self.loaded_by_loaders.items() for name in values}


def merge_files(entries: Iterable[Entry], environment: str, accepted: Mapping[str, Setting]) -> Layered:
    """What the settings files say for `environment`, of the names in `accepted`; a later entry wins.

    The files are read by ourselves, once: dynaconf's reader takes no byte order mark, and might see another text than
    the one that was checked.
    """
    layered = Layered(**_DYNACONF_OPTIONS, ENV_FOR_DYNACONF=environment, SETTINGS_FILE_FOR_DYNACONF=[])
    for entry in entries:
        if entry.section in ("default", environment) and entry.name in accepted:
            layered.put(entry.layer, {entry.name: entry.value})
    return layered
