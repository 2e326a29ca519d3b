"""dynaconf, which decides whose value counts: one object for each load, steered by nothing but its arguments.

An object of its own each time: dynaconf shows half-loaded values to readers while it reloads in place.
"""

from __future__ import annotations

import glob
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dynaconf.base import Settings as DynaconfSettings
from dynaconf.loaders.base import SourceMetadata

from rom_core.settings.declared import Setting
from rom_core.settings.files import TOML_FILES, toml_layer
from rom_core.settings.problems import InvalidSettings, Problem
from rom_core.settings.values import thaw

# Everything by which a *_FOR_DYNACONF variable could add a source, a loader or a cast.
_DYNACONF_OPTIONS: Mapping[str, Any] = MappingProxyType(
    {
        "AUTO_CAST_FOR_DYNACONF": False,
        "CORE_LOADERS_FOR_DYNACONF": ["TOML"],
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
        return {
            name: toml_layer(Path(source.identifier).name, source.env) if source.loader == "toml" else source.loader
            for source, values in self.loaded_by_loaders.items()
            for name in values
        }


def merge_files(root: Path, environment: str, accepted: Mapping[str, Setting], *, readable: bool) -> Layered:
    """The settings files under `root`, merged for `environment`: names in `accepted` only, nothing if not `readable`.

    Raises InvalidSettings if a file cannot be read any more.
    """
    # Absolute paths, or dynaconf would look for the files in parent folders and the working directory too;
    # the local ones by name, because it looks for them only beside a file that exists.
    folder = glob.escape(str(root.absolute()))
    files = [f"{folder}/{name}" for name in TOML_FILES] if readable else []

    def only_accepted(data: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in data.items() if name in accepted}

    try:
        return Layered(
            **_DYNACONF_OPTIONS,
            ENV_FOR_DYNACONF=environment,
            SETTINGS_FILE_FOR_DYNACONF=files,
            filter_strategy=only_accepted,
        )
    except (OSError, ValueError) as error:
        # It was readable a moment ago: someone is writing it.
        raise InvalidSettings([Problem(str(root), f"a settings file changed while it was read: {error}")]) from error
