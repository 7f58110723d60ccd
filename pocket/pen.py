"""A pen that draws one thing in coordinates from -1 to 1, its body in any colour and pattern."""

from __future__ import annotations

from collections.abc import Iterable

from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Points = Iterable[tuple[float, float]]

PAINTS: dict[str, Colour] = {
    "red": (214, 40, 40),
    "blue": (44, 98, 214),
    "green": (46, 150, 62),
    "yellow": (248, 208, 46),
    "purple": (132, 58, 176),
    "orange": (244, 128, 28),
    "pink": (246, 140, 190),
    "white": (246, 246, 246),
    "black": (38, 38, 44),
    "brown": (126, 82, 48),
    "grey": (140, 146, 154),
    "skin": (240, 196, 160),
    "leaf": (58, 128, 52),
    "glass": (190, 224, 240),
    "gold": (232, 180, 44),
    "cream": (250, 236, 200),
    "ink": (30, 28, 36),
}
_MARKS: dict[str, Colour] = {"white": (150, 156, 168), "yellow": (200, 120, 20), "cream": (150, 156, 168)}
_LIGHT: Colour = (250, 250, 250)
_FINEST = 0.085
"""The narrowest period of a pattern, as a share of the picture: what its pixels still show."""
BODY = "body"


class Pen:
    """Draws into a square of an image.

    Args:
        image: what is drawn on.
        centre: in pixels.
        radius: half the square's side, in pixels.
        colour, pattern: of everything painted with :data:`BODY`.
        mirror: left and right exchanged.
    """

    def __init__(
        self, image: Image.Image, centre: tuple[float, float], radius: float, colour: str, pattern: str, mirror: bool = False
    ) -> None:
        self.image, self.centre, self.radius, self.mirror = image, centre, radius, mirror
        self.draw = ImageDraw.Draw(image)
        self.line_width = max(2, round(radius * 0.045))
        self.outline = (120, 120, 130) if colour == "black" else PAINTS["ink"]
        self.colour = colour
        self.pattern = None if pattern == "plain" else self._pattern(colour, pattern)

    def _pattern(self, colour: str, pattern: str) -> Image.Image:
        image = Image.new("RGB", self.image.size, PAINTS[colour])
        draw = ImageDraw.Draw(image)
        mark = _MARKS.get(colour, _LIGHT)
        (x, y), r = self.centre, self.radius
        step = max(0.42 * r, _FINEST * self.image.width)
        if pattern == "striped":
            for n in range(-6, 7):
                middle = x + n * step
                edges = [(-0.24 * step, -0.5 * r), (0.24 * step, -0.5 * r), (0.24 * step, 0.5 * r), (-0.24 * step, 0.5 * r)]
                draw.polygon([(middle + across + slant, y + 3 * slant) for across, slant in edges], fill=mark)
        else:
            dot = 0.29 * step
            for row in range(-4, 5):
                for column in range(-4, 5):
                    cx, cy = x + (column + 0.5 * (row % 2)) * step, y + row * 0.8 * step
                    draw.ellipse([cx - dot, cy - dot, cx + dot, cy + dot], fill=mark)
        return image

    def _place(self, points: Points) -> list[tuple[float, float]]:
        side = -1 if self.mirror else 1
        return [(self.centre[0] + side * x * self.radius, self.centre[1] + y * self.radius) for x, y in points]

    def _box(self, x: float, y: float, rx: float, ry: float) -> list[float]:
        ((cx, cy),) = self._place([(x, y)])
        return [cx - rx * self.radius, cy - ry * self.radius, cx + rx * self.radius, cy + ry * self.radius]

    def _paint(self, shape: str, place: list, paint: str, outlined: bool, **details: float) -> None:
        outline, width = (self.outline, self.line_width) if outlined else (None, 0)
        plain = PAINTS[self.colour if paint == BODY else paint]
        if paint == BODY and self.pattern is not None:
            mask = Image.new("L", self.image.size)
            getattr(ImageDraw.Draw(mask), shape)(place, fill=255, **details)
            self.image.paste(self.pattern, mask=mask)
            if outlined:
                getattr(self.draw, shape)(place, fill=None, outline=outline, width=width, **details)
        else:
            getattr(self.draw, shape)(place, fill=plain, outline=outline, width=width, **details)

    def ellipse(self, x: float, y: float, rx: float, ry: float | None = None, paint: str = BODY, outlined: bool = True) -> None:
        """An upright ellipse around (x, y)."""
        self._paint("ellipse", self._box(x, y, rx, rx if ry is None else ry), paint, outlined)

    def polygon(self, points: Points, paint: str = BODY, outlined: bool = True) -> None:
        """A closed polygon."""
        self._paint("polygon", self._place(points), paint, outlined)

    def box(
        self, x0: float, y0: float, x1: float, y1: float, paint: str = BODY, rounded: float = 0.0, outlined: bool = True
    ) -> None:
        """A rectangle, its corners rounded."""
        (ax, ay), (bx, by) = self._place([(x0, y0), (x1, y1)])
        place = [min(ax, bx), min(ay, by), max(ax, bx), max(ay, by)]
        self._paint("rounded_rectangle", place, paint, outlined, radius=rounded * self.radius)

    def half(self, x: float, y: float, rx: float, ry: float, paint: str = BODY, upper: bool = True) -> None:
        """The upper or lower half of an ellipse."""
        start, end = (180, 360) if upper else (0, 180)
        self._paint("chord", self._box(x, y, rx, ry), paint, True, start=start, end=end)

    def line(self, points: Points, width: float = 0.08, paint: str = "ink") -> None:
        """A line, as wide as said."""
        self.draw.line(self._place(points), fill=PAINTS[paint], width=max(2, round(width * self.radius)), joint="curve")

    def dot(self, x: float, y: float, r: float = 0.06, paint: str = "ink") -> None:
        """A small disc without outline."""
        self.ellipse(x, y, r, r, paint, outlined=False)

    def eyes(self, x: float, y: float, apart: float = 0.16, r: float = 0.06) -> None:
        """Two dots with a light ring."""
        for side in (-1, 1):
            self.dot(x + side * apart, y, r * 1.6, "white")
            self.dot(x + side * apart, y, r)
