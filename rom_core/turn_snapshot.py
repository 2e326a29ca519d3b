"""What a turn needs of the snapshot that it runs on, and of a structured answer that it seeks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from rom_core.answer_text import TextFilter
from rom_core.turn_values import Event

if TYPE_CHECKING:
    from rom_core.settings import Settings
    from rom_core.tools import ToolBox


class Structured(Protocol):
    """A structured answer while it is sought (`structured.StructuredAnswer`); `way` is how it was asked for last."""

    way: str


class Pipeline(Protocol):
    """The plugins of a turn's snapshot: their names, and `hook`, which calls them (`hook.rom_turn(turn=turn)`)."""

    plugins: tuple[str, ...]
    hook: Any
    amends_requests: bool
    filters_text: bool
    wraps_sending: bool

    def emit(self, event: Event) -> None:
        """Tell every observer; one that raises is logged and counted."""

    def delta(self, turn: Any, text: str) -> None:
        """Show every observer a piece of the answer."""

    def text_filters(self, turn: Any) -> TextFilter | None:
        """New filters of all plugins, as one; None if no plugin has any. Raises what a plugin raises."""


class Snapshot(Protocol):
    """Everything a turn sees from start to end; `version` grows with every change of the settings."""

    @property
    def version(self) -> int:
        """The version of the settings."""

    @property
    def settings(self) -> Settings:
        """All of them."""

    @property
    def pipeline(self) -> Pipeline:
        """The plugins that are switched on."""

    @property
    def tools(self) -> ToolBox:
        """What the model may ask for."""
