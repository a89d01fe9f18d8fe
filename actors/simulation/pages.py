"""A run as a page that needs nothing else, and as a picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from forebay.actors.simulation.charts import WIDTH, Panel, Point, SvgCanvas, draw, height_of

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

_FINER: Final = 2
"""Pictures are drawn so much larger: thin lines stay smooth."""
_ANCHORS: Final = {"start": "ls", "middle": "ms", "end": "rs"}
_TITLE: Final = 30


class NoPictures(Exception):
    """What draws pictures is not installed; the message says what to do."""

    def __init__(self) -> None:
        super().__init__(
            "pictures need Pillow: pip install 'forebay[simulate]'; --html needs nothing more"
        )


def need_pictures() -> None:
    """Find out before the work is done.

    Raises:
        NoPictures: Pillow is not there.
    """
    if find_spec("PIL") is None:
        raise NoPictures


@dataclass(frozen=True, slots=True)
class Chapter:
    """One run on a page."""

    title: str
    text: str
    """The run's tables."""
    panels: tuple[Panel, ...]


def html_page(title: str, chapters: Sequence[Chapter], comparison: str | None = None) -> str:
    """Everything in one file: no script, no font, nothing from elsewhere."""
    parts = []
    if comparison is not None:
        parts.append(f"<h2>Side by side</h2>\n<pre>{escape(comparison)}</pre>")
    for chapter in chapters:
        canvas = SvgCanvas(height_of(chapter.panels))
        draw(chapter.panels, canvas)
        parts.append(
            f"<h2>{escape(chapter.title)}</h2>\n{canvas.svg()}\n<pre>{escape(chapter.text)}</pre>"
        )
    body = "\n".join(parts)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{escape(title)}</title>
<style>
body {{ font: 15px/1.5 sans-serif; margin: 2em; color: #1f2933; background: #fff; }}
pre {{ font: 13px/1.4 monospace; overflow-x: auto; }}
svg {{ max-width: 100%; height: auto; }}
</style>
</head>
<body>
<h1>{escape(title)}</h1>
{body}
</body>
</html>
"""


class _Picture:
    """Draws with Pillow."""

    def __init__(self, draw: ImageDraw, font: FreeTypeFont | ImageFont, top: int) -> None:
        self._draw = draw
        self._font = font
        self._top = top

    def _at(self, point: Point) -> Point:
        return point[0] * _FINER, (point[1] + self._top) * _FINER

    def line(self, points: Sequence[Point], colour: str, width: float) -> None:
        self._draw.line(
            [self._at(point) for point in points], fill=colour, width=round(width * _FINER)
        )

    def text(self, at: Point, text: str, colour: str, *, anchor: str) -> None:
        self._draw.text(self._at(at), text, fill=colour, font=self._font, anchor=_ANCHORS[anchor])


def write_png(path: str | os.PathLike[str], chapters: Sequence[Chapter]) -> None:
    """The charts of all chapters, one below the other.

    Raises:
        NoPictures: Pillow is not there.
        OSError: the file can't be written.
    """
    need_pictures()
    from PIL import Image, ImageDraw, ImageFont

    heights = [_TITLE + height_of(chapter.panels) for chapter in chapters]
    size = (WIDTH * _FINER, sum(heights) * _FINER)
    image = Image.new("RGB", size, "#ffffff")
    draws = ImageDraw.Draw(image)
    font = ImageFont.load_default(12 * _FINER)
    top = 0
    for chapter, height in zip(chapters, heights, strict=True):
        picture = _Picture(draws, font, top)
        picture.text((20, 22), chapter.title, "#1f2933", anchor="start")
        picture = _Picture(draws, font, top + _TITLE)
        draw(chapter.panels, picture)
        top += height
    image.save(path, "PNG")
