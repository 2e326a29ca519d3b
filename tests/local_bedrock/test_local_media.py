"""Bedrock's rules for documents and images: requests that break one each, the service's words; what is just allowed."""

from __future__ import annotations

import base64
import io
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from PIL import Image

from local_bedrock import LocalBedrock
from local_bedrock.media import MAX_DOCUMENT_BYTES, MAX_IMAGE_CHARACTERS, check_media

Block = dict[str, Any]
TEXT: Block = {"text": "Resuma."}


def document(name: str = "a", size: int = 3) -> Block:
    """A text document of that size."""
    return {"document": {"name": name, "format": "txt", "source": {"bytes": base64.b64encode(b"x" * size).decode()}}}


def picture(image_format: str = "PNG", size: tuple[int, int] = (8, 8), **options: Any) -> Block:
    """An image of one colour."""
    made = io.BytesIO()
    Image.new("P" if image_format == "GIF" else "RGB", size, 7).save(made, image_format, **options)
    data = base64.b64encode(made.getvalue()).decode()
    return {"image": {"format": image_format.lower(), "source": {"bytes": data}}}


def of_size(characters: int) -> Block:
    """An image that has so many characters as base64."""
    return {"image": {"format": "png", "source": {"bytes": "A" * characters}}}


def user(*content: Block) -> Block:
    """A message."""
    return {"role": "user", "content": list(content)}


def result(*content: Block) -> Block:
    """What a tool returned."""
    return user({"toolResult": {"toolUseId": "t", "content": list(content)}})


@pytest.mark.parametrize(
    "messages",
    [
        [user(TEXT, *(document(str(number)) for number in range(5)))],
        [user(TEXT, *[picture()] * 15, *(document(str(number)) for number in range(5)))],
        [user(TEXT, *[picture()] * 20)],
        [user(TEXT, document("A (1) [b]-c 9"))],
        [user(TEXT, document("a")), user(TEXT, document("b"))],
        [user(TEXT, document(size=MAX_DOCUMENT_BYTES))],
        [user(of_size(MAX_IMAGE_CHARACTERS))],
        [result(document("a"), picture())],
        *([user(picture(kind, (8000, 2)))] for kind in ("PNG", "GIF", "JPEG", "WEBP")),
        [user({"image": {"format": "png", "source": {"s3Location": {"uri": "s3://abc/a.png"}}}})],
    ],
)
def test_what_the_rules_allow_is_accepted(messages: list[Block]) -> None:
    """Up to the last document, byte and pixel."""
    assert list(check_media(messages)) == []


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ([user(TEXT, *(document(str(n)) for n in range(6)))], "You can't include more than 5 documents in a request."),
        ([user(TEXT, document(str(n)), document(f"{n} b")) for n in range(3)], "more than 5 documents in a request."),
        ([user(*[picture()] * 21)], "messages: too many images and documents: 21 + 0 > 20"),
        ([user(TEXT, *[picture()] * 19, document("a"), document("b"))], "too many images and documents: 19 + 2 > 20"),
        *(
            ([user(TEXT, document(name))], "The document file name can only contain alphanumeric characters")
            for name in ("a.pdf", "peti\u00e7\u00e3o", "a  b", "a\u3000b", "a\tb", "a_b", "a/b", "a\n")
        ),
        ([user(TEXT, document("a")), user(TEXT, document("a"))], "Messages can't contain duplicate document names."),
        ([user(TEXT, document("a")), result(document("a"))], "Messages can't contain duplicate document names."),
        ([user(document("a"))], "A text block must be included when using documents."),
        ([user(TEXT, document(size=MAX_DOCUMENT_BYTES + 1))], "maximum document size of 4.5 MB"),
        (
            [user(TEXT, of_size(MAX_IMAGE_CHARACTERS + 4))],
            "messages.0.content.1.image.source.bytes: image exceeds 5 MB maximum: 5242884 bytes > 5242880 bytes",
        ),
        *(
            ([result(picture(kind, (2, 8001)))], "0.toolResult.content.0.image.source.bytes: At least one of the image")
            for kind in ("PNG", "GIF", "JPEG", "WEBP")
        ),
        ([user(picture("WEBP", (8001, 2), lossless=True))], "exceed max allowed size: 8000 pixels"),
    ],
)
def test_what_breaks_a_rule_is_refused_in_the_words_of_the_service(messages: list[Block], text: str) -> None:
    """Across messages and results of tools."""
    (said,) = check_media(messages)
    assert text in said


def test_a_client_meets_it(bedrock_local: LocalBedrock) -> None:
    """As a ValidationException."""
    client = boto3.client(
        "bedrock-runtime",
        region_name="us-west-2",
        endpoint_url=bedrock_local.url,
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=Config(retries={"total_max_attempts": 1}),
    )
    twice = {"document": {"name": "a", "format": "txt", "source": {"bytes": b"x"}}}
    with pytest.raises(ClientError, match="can't contain duplicate document names") as caught:
        client.converse(modelId="us.anthropic.claude-sonnet-4-5-20250929-v1:0", messages=[user(TEXT, twice, twice)])
    client.close()
    assert caught.value.response["Error"]["Code"] == "ValidationException"
