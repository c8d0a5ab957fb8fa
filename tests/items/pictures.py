"""A small picture as bytes."""

import io

from PIL import Image


def png(value=9):
    data = io.BytesIO()
    Image.new("L", (6, 6), value).save(data, "PNG")
    return data.getvalue()
