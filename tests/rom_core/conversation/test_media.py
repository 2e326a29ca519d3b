"""Images, documents and other media: kept if Bedrock takes them, else a note in their place."""

from __future__ import annotations

import pytest
from conversation_support import PNG, messages, user

from rom_core.conversation import Block
from rom_core.conversation.model import (
    ATTACHED,
)


@pytest.mark.parametrize(
    "block",
    [
        {"image": {"format": "bmp", "source": {"bytes": b"x"}}},
        {"image": {"format": [], "source": {"bytes": b"x"}}},
        {"image": {"format": "png", "source": {"bytes": b""}}},
        {"image": {"format": "png", "source": {"s3Location": {"uri": "http://example.com"}}}},
        {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://bucket/" + "x" * 1024}}}},
        {"image": "x"},
    ],
    ids=range(6),
)
def test_an_unusable_image_becomes_text(block: Block) -> None:
    """What Bedrock would refuse leaves a note in its place."""
    assert messages(user("a", block)) == [user("a", "[conteúdo não aceito: image]")]


def test_documents_have_plain_names_and_a_text() -> None:
    """A document's name has no accents or dots, and some text goes with it."""
    given: Block = {"document": {"format": "pdf", "name": "Petição  inicial.v2.pdf", "source": {"bytes": b"%PDF"}}}
    text, block = messages(user(given))[0]["content"]
    assert text == {"text": ATTACHED}
    assert block["document"]["name"] == "Peticao inicial v2 pdf"
    assert messages(user("read", given))[0]["content"][0] == {"text": "read"}
    given["document"]["name"] = "x" * 300
    assert messages(user("read", given))[0]["content"][1]["document"]["name"] == "x" * 200


@pytest.mark.parametrize(
    "block",
    [
        PNG,
        {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://bucket/a.png", "bucketOwner": "1" * 12}}}},
        {
            "document": {
                "format": "txt",
                "name": "a b",
                "source": {"text": "t"},
                "context": "c",
                "citations": {"enabled": True},
            }
        },
        {"searchResult": {"source": "s", "title": "t", "content": [{"text": "x"}], "citations": {"enabled": False}}},
        {"guardContent": {"text": {"text": "x", "qualifiers": ["query"]}}},
        {"guardContent": {"image": {"format": "png", "source": {"bytes": b"x"}}}},
        {"audio": {"format": "mp3", "source": {"bytes": b"x"}}},
        {"video": {"format": "mp4", "source": {"bytes": b"x"}}},
    ],
)
def test_usable_media_stay_as_they_are(block: Block) -> None:
    """Everything that a user's message may hold comes out equal."""
    assert messages(user("a", block)) == [user("a", block)]
