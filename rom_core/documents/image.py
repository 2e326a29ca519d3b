"""A look into an image: whether it can be read, and how many pixels it has."""

from __future__ import annotations

import io
import warnings
from typing import Final

from PIL import Image, UnidentifiedImageError

from rom_core.documents.verdict import Refused, Verdict

MAX_PIXELS: Final = 8000
# Larger ones are not decoded, only looked at part by part: 20 million pixels are 80 MB.
_DECODED_PIXELS: Final = 20_000_000
_FORMATS: Final = ("PNG", "JPEG", "GIF", "WEBP")


def look_into_image(data: bytes, image_format: str) -> Verdict:
    """Raises Refused, and what the library raises for a broken one."""
    # Pixels are counted here, with a sentence of our own.
    Image.MAX_IMAGE_PIXELS = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                width, height = image.size
                if max(width, height) > MAX_PIXELS:
                    raise Refused(
                        "too_many_pixels", f"it has {width} x {height} pixels; the limit is {MAX_PIXELS} on each side"
                    )
                image.verify()
            if width * height <= _DECODED_PIXELS:
                with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                    image.load()
        except UnidentifiedImageError:
            raise Refused("broken", "the image cannot be read") from None
    return Verdict(format=image_format)
