"""A folder of made-up flags, called as different people would call them, and the lists that go with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

RED, WHITE, GREEN, YELLOW, BLUE, ORANGE = "#ce1126", "white", "#008751", "#fcd116", "#002664", "#ff8200"

UPRIGHT = {
    "td.png": (BLUE, YELLOW, RED),
    "Romania.png": ("#002b7f", YELLOW, RED),
    "320px-Flag_of_Ireland.svg.png": (GREEN, WHITE, ORANGE),
    "CIV.webp": (ORANGE, WHITE, GREEN),
    "it.png": (GREEN, WHITE, RED),
}
LEVEL = {
    "id.png": (RED, WHITE),
    "Flag of Monaco.png": ("#c8102e", WHITE),
    "pl.png": (WHITE, RED),
    "nl.png": ("#a91f32", WHITE, "#1e4785"),
    "lu.png": ("#ea141d", WHITE, "#51adda"),
    "bq.png": ("#a91f32", WHITE, "#1e4785"),
    "ua.png": (BLUE, YELLOW),
}

PAIRS = """name_a,iso2_b,relation,expect_similar,note
Chad,RO,near_identical,yes,two blues
Indonesia,MC,near_identical,yes,two reds
Ireland,CI,mirror,yes,mirrored
Ireland,IT,similar,yes,orange or red
Luxembourg,NL,near_identical,yes,two blues
Netherlands,BQ,near_identical,yes,the same flag
Poland,MC,inverted,partly,upside down
Ukraine,IE,similar,yes,nothing to do with each other
Ukraine,PL,different,no,
Norway,IS,similar,yes,neither is there
"""

NAMES = """iso2,iso3,name,common_name
CI,CIV,Republic of Côte d'Ivoire,Ivory Coast
IT,ITA,Italian Republic,Italy
PL,POL,Republic of Poland,Poland
UA,UKR,Ukraine,
BQ,BES,Bonaire,Caribbean Netherlands
"""


def draw_flags(folder: Path) -> None:
    folder.mkdir()
    for name, colours in UPRIGHT.items():
        bands(colours, 1 if "i" in name else 1.4).save(folder / name, lossless=True)
    for name, colours in LEVEL.items():
        bands(colours[::-1], 1.25).rotate(90, expand=True).save(folder / name)
    folder.with_name("pairs.csv").write_text(PAIRS, encoding="utf-8")
    folder.with_name("names.csv").write_text(NAMES, encoding="utf-8")
    folder.with_name("same.csv").write_text("iso2_members\nNL BQ\n", encoding="utf-8")


def bands(colours: Sequence[str], stretch: float) -> Image.Image:
    """Upright bands, 120 pixels high."""
    image = Image.new("RGB", (round(150 * stretch), 120))
    width = image.width / len(colours)
    for i, colour in enumerate(colours):
        ImageDraw.Draw(image).rectangle((i * width, 0, (i + 1) * width, 120), fill=colour)
    return image
