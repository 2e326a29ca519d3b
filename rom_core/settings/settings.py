"""One frozen state of all settings."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn

from rom_core.settings.values import thaw

if TYPE_CHECKING:
    from rom_core.settings.declared import Setting
    from rom_core.settings.models import Model

MASK = "***"


class Settings:
    """All settings at one moment; read them as attributes, as in `settings.MAX_TOKENS`.

    Nothing in it changes: lists are tuples, tables are read-only mappings, setting an attribute raises
    AttributeError. Reading costs what reading an attribute of any plain object costs.
    """

    environment: str
    """The value of ROM_ENV: development, testing, staging or production."""
    declared: Mapping[str, Setting]
    """Every declaration by name."""
    models: Mapping[str, Model]
    """The table MODELS by alias."""
    awaiting_restart: Mapping[str, Any]
    """Settings read only at start that the layers have changed since, with the value a restart would give them."""

    def __init__(
        self,
        *,
        environment: str,
        declared: Mapping[str, Setting],
        values: Mapping[str, Any],
        sources: Mapping[str, str],
        models: Mapping[str, Model],
        awaiting_restart: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        vars(self).update(
            values,
            environment=environment,
            declared=MappingProxyType(dict(declared)),
            models=models,
            awaiting_restart=MappingProxyType(dict(awaiting_restart)),
            _sources=MappingProxyType(dict(sources)),
        )

    if TYPE_CHECKING:
        _sources: Mapping[str, str]

        def __getattr__(self, name: str) -> Any: ...

    def source(self, name: str) -> str:
        """The layer that the value of `name` came from, as "settings.toml [production]" or "environment".

        Raises KeyError for a name that nobody declared.
        """
        return self._sources[name]

    def as_dict(self, mask: bool = True) -> dict[str, Any]:
        """Name and value of every setting, with fresh lists and dicts that JSON can hold.

        `mask` shows MASK in place of every secret that is set.
        """
        return {name: self.shown(name) if mask else thaw(getattr(self, name)) for name in self.declared}

    def shown(self, name: str) -> Any:
        """The value of `name` as JSON, MASK in place of a secret that is set."""
        return self.masked(name, getattr(self, name))

    def masked(self, name: str, value: Any) -> Any:
        """`value` as JSON, MASK in its place if it is set and `name` is a secret."""
        setting = self.declared.get(name)
        return MASK if value and setting is not None and setting.secret else thaw(value)

    def replacing(self, source: str, **values: Any) -> Settings:
        """The same settings with other, already checked, values of some names that come from the layer `source`."""
        return Settings(
            environment=self.environment,
            declared=self.declared,
            values={name: getattr(self, name) for name in self.declared} | values,
            sources=dict(self._sources) | dict.fromkeys(values, source),
            models=self.models,
            awaiting_restart=self.awaiting_restart,
        )

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"settings are frozen: {name} cannot be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"settings are frozen: {name} cannot be deleted")

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in self.as_dict().items())
        return f"<Settings {self.environment}: {values}>"
