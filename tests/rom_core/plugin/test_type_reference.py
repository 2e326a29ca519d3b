"""docs/reference.md leaves nothing out: nobody has to open the source to write a plugin."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from rom_core import events, hookspecs
from rom_core.ops.fields import FIELDS, MAY_CHANGE
from rom_core.ops.type_reference import TYPES, fields_of, types_page

KNOWN = {type_.__name__: type_ for types in TYPES.values() for type_ in types}
# Not ours, or names of something that another type's text explains.
ELSEWHERE = {
    *("Any", "Callable", "Iterable", "Iterator", "Literal", "Mapping", "Message", "None", "Sequence"),
    *(
        "ClassVar",
        "Event",
        "Exception",
        "MetaData",
        "CollectorRegistry",
        "Collector",
        "Connection",
        "T",
        "True",
        "False",
    ),
    *("Kind", "Scope", "Check", "Waitable"),
}
# Fields of these types are for the core, and their texts say so.
FOR_THE_CORE = {"Sink", "Structured", "Passage", "Pipeline", "Canary", "AnswerText", "Watching", "Calling", "Sources"}
UNITS = re.compile(
    r"[Ss]econds|[Tt]okens|[Mm]illiseconds|[Pp]ercent|[Ff]rom 0 to 1|A count: |[Nn]umber|USD|in the setting's own unit"
)


def words(kind: str) -> set[str]:
    """The names of types in an annotation, without what it quotes."""
    return set(re.findall(r"\b[A-Z]\w*\b", re.sub(r"\[?\"[^\"]*\"|'[^']*'", "", kind)))


@pytest.mark.parametrize("name", KNOWN)
def test_every_field_has_a_text_and_every_text_a_field(name: str) -> None:
    """A new field without one fails here: write it in rom_core/ops/fields."""
    fields = fields_of(KNOWN[name])
    texts = FIELDS.get(name, {})
    assert [field for field in fields if not texts.get(field, "").strip()] == []
    assert set(texts) - set(fields) == set()
    source = inspect.getsource(KNOWN[name])
    assert [field for field, (kind, _) in fields.items() if not kind and f"self.{field}" not in source] == []
    assert set(MAY_CHANGE.get(name, {})) - set(fields) == set()


@pytest.mark.parametrize("name", KNOWN)
def test_every_number_has_its_unit(name: str) -> None:
    """Seconds or milliseconds, tokens, a share or a count: a reader does not have to guess."""
    for field, (kind, _) in fields_of(KNOWN[name]).items():
        if re.search(r"\b(int|float)\b", kind) and "Mapping" not in kind:
            assert UNITS.search(FIELDS[name][field]), f"{name}.{field}: {FIELDS[name][field]}"


def test_every_type_that_a_hook_names_is_described() -> None:
    """What hooks take and return, and every event."""
    hooks = [getattr(hookspecs, name) for name in vars(hookspecs) if name.startswith("rom_")]
    named = {word for hook in hooks for kind in hook.__annotations__.values() for word in words(str(kind))}
    assert named - ELSEWHERE <= set(KNOWN)
    assert {event for event in events.__all__ if isinstance(getattr(events, event), type)} - {"Event"} <= set(KNOWN)
    assert set(FIELDS) <= set(KNOWN)


@pytest.mark.parametrize("name", KNOWN)
def test_every_type_that_can_be_reached_is_described(name: str) -> None:
    """A field's type has its own section, or the field is said to be for the core."""
    for field, (kind, _) in fields_of(KNOWN[name]).items():
        for word in words(kind) - ELSEWHERE:
            assert word in KNOWN or (word in FOR_THE_CORE and "For the core" in FIELDS[name][field]), (field, word)


def test_what_may_be_changed_can_be_changed() -> None:
    """Only what lives while a turn runs has such fields: the others are frozen, or made by the plugin itself."""
    for name in MAY_CHANGE:
        assert not inspect.getattr_static(KNOWN[name], "__dataclass_params__").frozen, name


def test_the_page_shows_fields_and_methods() -> None:
    """One row for a field, one line for a method or property."""
    page = types_page("note")
    assert "| `messages` | `list[Message]` | `[]` | The conversation as Converse messages" in page
    assert "append a message" in page
    assert "| `after_seconds` | `float` | `0.0` | Seconds to wait before the next attempt. | set |" in page
    assert "say(text: str" in page
    assert "spec: dict[str, Any]  # The `toolSpec` entry" in page
    assert "\\|" in page
    assert len(re.findall("^### ", page, re.MULTILINE)) == len(KNOWN)


def test_the_written_page_is_linked() -> None:
    """From the guide for authors."""
    assert "(reference.md)" in (Path(__file__).parents[3] / "docs" / "plugins.md").read_text(encoding="utf-8")
