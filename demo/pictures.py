"""The demo's pictures, made on the spot: photos that come with scikit-image, edits of them, and flags.

No picture is kept in the repository, and none is downloaded. The same versions of the libraries make the
same pictures, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

import flags

Edit = Callable[[Image.Image], Image.Image]

# What a photo is called here, and the file that scikit-image keeps it in.
PHOTOS = {
    "astronaut": "astronaut.png",
    "bricks": "brick.png",
    "cameraman": "camera.png",
    "cat": "chelsea.png",
    "cell": "cell.png",
    "coffee": "coffee.png",
    "coins": "coins.png",
    "colour wheel": "color.png",
    "galaxies": "hubble_deep_field.jpg",
    "grass": "grass.png",
    "gravel": "gravel.png",
    "horse": "horse.png",
    "moon": "moon.png",
    "motorcycle": "motorcycle_left.png",
    "motorcycle (a step to the right)": "motorcycle_right.png",
    "page": "page.png",
    "retina": "retina.jpg",
    "rocket": "rocket.jpg",
    "tissue": "ihc.png",
    "writing": "text.png",
}

# Which photos are edited, and how (the functions follow).
EDITED = {
    "astronaut": ("cropped", "greyscale", "colours shifted"),
    "cameraman": ("mirrored", "captioned"),
    "cat": ("mirrored", "low quality", "captioned", "rotated"),
    "coffee": ("cropped", "mirrored", "low quality", "captioned", "colours shifted", "rotated", "greyscale"),
    "coins": ("rotated", "low quality"),
    "galaxies": ("cropped", "rotated"),
    "motorcycle": ("cropped", "greyscale"),
    "retina": ("mirrored", "colours shifted"),
    "rocket": ("captioned", "brighter"),
    "tissue": ("cropped", "low quality"),
}


def crop(photo: Image.Image) -> Image.Image:
    """Two thirds of each side, a little right of the middle and below it."""
    width, height = photo.size
    return photo.crop((width // 5, height // 5, width // 5 + 2 * width // 3, height // 5 + 2 * height // 3))


def compress(photo: Image.Image) -> Image.Image:
    """Through a JPEG of quality 15: blocks and smeared colours."""
    data = BytesIO()
    photo.save(data, "JPEG", quality=15)
    return Image.open(data).convert("RGB")


def caption(photo: Image.Image) -> Image.Image:
    """Words across the lower edge, as pictures collect them on their way through the net."""
    picture = photo.copy()
    brush = ImageDraw.Draw(picture, "RGBA")
    width, height = picture.size
    brush.rectangle((0, height * 0.82, width, height), fill=(0, 0, 0, 170))
    font = ImageFont.load_default(size=height * 0.09)
    brush.text((width / 2, height * 0.91), "MONDAY, 9 A.M.", font=font, fill="white", anchor="mm")
    return picture


def shift(photo: Image.Image) -> Image.Image:
    """An eighth of the way round the colour circle."""
    hue, saturation, value = photo.convert("HSV").split()
    turned = hue.point(lambda level: (level + 32) % 256)
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")


def rotate(photo: Image.Image) -> Image.Image:
    """By 12 degrees, on white."""
    return photo.rotate(12, Image.Resampling.BICUBIC, expand=True, fillcolor="white")


EDITS: dict[str, Edit] = {
    "brighter": lambda photo: ImageEnhance.Brightness(photo).enhance(1.7),
    "captioned": caption,
    "colours shifted": shift,
    "cropped": crop,
    "greyscale": lambda photo: photo.convert("L").convert("RGB"),
    "low quality": compress,
    "mirrored": ImageOps.mirror,
    "rotated": rotate,
}


def build(folder: Path) -> None:
    """Make all of the demo's pictures in `folder`: photos/, edited/ and flags/."""
    photos, edited = folder / "photos", folder / "edited"
    photos.mkdir(parents=True, exist_ok=True)
    edited.mkdir(exist_ok=True)
    for name, file in PHOTOS.items():
        photo = _photo(_bundled() / file)
        _save(photo, photos / f"{name}.jpg")
        for edit in EDITED.get(name, ()):
            _save(EDITS[edit](photo), edited / f"{name} ({edit}).jpg")
    flags.build(folder / "flags")


def _bundled() -> Path:
    """Where scikit-image keeps its photos; asked without importing it, which takes a second."""
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the demo's photos come with scikit-image: pip install 'lookalike[demo]'")
    return Path(spec.origin).parent / "data"


def _photo(path: Path) -> Image.Image:
    """In RGB, what was transparent on white, no side over 800 pixels."""
    with Image.open(path) as image:
        rgba = image.convert("RGBA")
    photo = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    photo.thumbnail((800, 800))
    return photo


def _save(picture: Image.Image, path: Path) -> None:
    picture.save(path, quality=90)
