"""The documents and images of a request together: never more or larger than Bedrock takes, never one name twice."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from local_bedrock.media import check_media
from rom_core.conversation.attached import fit_media

NAMES = ("a", "A", "a 2", "b" * 200)


def document(name: str, size: int = 1) -> dict[str, Any]:
    """A document of that size."""
    return {"document": {"name": name, "format": "txt", "source": {"bytes": b"x" * size}}}


def image(size: int = 1) -> dict[str, Any]:
    """An image, as far as its size."""
    return {"image": {"format": "png", "source": {"bytes": b"x" * size}}}


MEDIA = st.one_of(st.sampled_from(NAMES).map(document), st.just(image()))
CONTENT = st.lists(st.one_of(MEDIA, st.lists(MEDIA, max_size=4).map(lambda inner: {"toolResult": {"content": inner}})))


@settings(deadline=None)
@given(st.lists(st.builds(lambda content: {"role": "user", "content": [{"text": "x"}, *content]}, CONTENT), max_size=8))
def test_whatever_tools_bring_bedrock_takes_it(messages: list[dict[str, Any]]) -> None:
    """What is within the limits stays; what is given is not changed; what came out comes out again."""
    before, fitted = copy.deepcopy(messages), list(messages)
    fit_media(fitted)
    assert messages == before
    assert list(check_media(as_sent(fitted))) == []
    again = list(fitted)
    fit_media(again)
    assert again == fitted
    total, documents = str(messages).count("'source'"), str(messages).count("'name'")
    if total <= 20 and documents <= 5:
        assert str(fitted).count("'source'") == total


def as_sent(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With bytes as base64, as the service sees them."""
    return [{**holder, "content": [_sent(block) for block in holder["content"]]} for holder in copy.deepcopy(messages)]


def _sent(block: dict[str, Any]) -> dict[str, Any]:
    for kind, value in block.items():
        if kind == "toolResult":
            value["content"] = [_sent(one) for one in value["content"]]
        elif kind != "text":
            value["source"] = {"bytes": "eA=="}
    return block


def test_the_newest_stay() -> None:
    """A text stands where the others were, in results of tools too."""
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": [{"text": "x"}, document("first"), {"toolResult": {"content": [document("a")]}}]},
        {"role": "user", "content": [{"text": "x"}, *(document("a") for _ in range(4))]},
    ]
    fit_media(messages)
    first, last = messages
    assert first["content"][1] == {"text": "[conteúdo não aceito: document]"}
    assert first["content"][2] == {"toolResult": {"content": [document("a")]}}
    assert [block["document"]["name"] for block in last["content"][1:]] == ["a 2", "a 3", "a 4", "a 5"]


def test_what_is_too_large_goes() -> None:
    """A document of more than 4.5 MB, an image of more than 3.75 MB."""
    for block, limit in ((document, 4_500_000), (image, 3_750_000)):
        make: Any = block
        arguments = ("a",) if make is document else ()
        messages = [{"role": "user", "content": [{"text": "x"}, make(*arguments, limit), make(*arguments, limit + 1)]}]
        fit_media(messages)
        content: Any = messages[0]["content"]
        assert [next(iter(one)) for one in content] == ["text", make.__name__, "text"]
