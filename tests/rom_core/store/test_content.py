"""Messages as they are kept: what comes back is what was said, whatever it was."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rom_core.store.content import basis_of, decoded, encoded, text_of

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["$file", "$bytes", "$plain", "a", "ç", "\ud800"]), inner, max_size=3)
    ),
    max_leaves=12,
)
_BLOCKS = (
    st.builds(lambda text: {"text": text}, st.text())
    | st.builds(lambda given: {"toolUse": {"toolUseId": "t", "name": "n", "input": given}}, _JSON)
    | st.builds(
        lambda data: {"document": {"name": "d", "format": "pdf", "source": {"bytes": data}}},
        st.binary(max_size=30) | st.binary(min_size=1024, max_size=1100),
    )
    | st.builds(lambda data: {"reasoningContent": {"redactedContent": data}}, st.binary(max_size=30))
)
_MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": st.lists(_BLOCKS, max_size=4)}),
    max_size=4,
)


@settings(deadline=None)
@given(_MESSAGES)
def test_what_is_kept_comes_back_as_it_was(messages: list[dict[str, Any]]) -> None:
    """Bytes, halves of surrogate pairs, and objects that look like our own marks; members in their order."""
    body, files = encoded(messages)
    again = decoded(body, files.__getitem__)
    assert again == messages
    assert repr(again) == repr(messages)


def test_a_file_is_kept_once_and_beside_the_messages() -> None:
    """Two messages with the same document have one file; short bytes stand in the message."""
    document = {"document": {"name": "d", "format": "pdf", "source": {"bytes": b"x" * 5000}}}
    body, files = encoded([{"role": "user", "content": [document, document, {"reasoningContent": {"r": b"abc"}}]}])
    assert list(files.values()) == [b"x" * 5000]
    assert len(body) < 600


def test_the_basis_is_that_of_system_texts_and_tools() -> None:
    """Another text, or another tool, is another basis; the order of an object's members is none."""
    one = basis_of(["a"], [{"x": 1, "y": 2}])
    assert one == basis_of(["a"], [{"y": 2, "x": 1}])
    assert one != basis_of(["b"], [{"x": 1, "y": 2}])
    assert one != basis_of(["a"], [{"x": 1}])


def test_of_a_persons_message_the_last_text_is_what_was_typed() -> None:
    """A suspicion about a document stands before it."""
    assert text_of({"role": "user", "content": [{"text": "suspicion"}, {"document": {}}, {"text": "typed"}]}) == "typed"
    assert text_of({"role": "assistant", "content": [{"text": "a"}, {"toolUse": {}}, {"text": "b"}]}) == "ab"
    assert text_of({"role": "user", "content": []}) == ""
