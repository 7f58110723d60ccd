"""How each thing is drawn: a function for a name, on a pen whose square reaches from -1 to 1."""

from __future__ import annotations

import math
from collections.abc import Callable

from .pen import Pen

Drawing = Callable[[Pen], None]
DRAWINGS: dict[str, Drawing] = {}


def drawing(function: Drawing) -> Drawing:
    """Register a drawing under the function's name."""
    DRAWINGS[function.__name__] = function
    return function


def _round(count: int, radius: float, phase: float = 0.0) -> list[tuple[float, float]]:
    steps = [phase + 2 * math.pi * n / count for n in range(count)]
    return [(radius * math.sin(step), -radius * math.cos(step)) for step in steps]


def _stem(pen: Pen, top: float) -> None:
    pen.line([(0, top), (0, 0.98)], 0.12, "leaf")
    pen.polygon([(0, 0.75), (0.3, 0.4), (0.55, 0.38), (0.4, 0.62)], "leaf")
    pen.polygon([(0, 0.85), (-0.3, 0.5), (-0.55, 0.48), (-0.4, 0.72)], "leaf")


@drawing
def rose(pen: Pen) -> None:
    """Petals around a spiral."""
    _stem(pen, 0)
    for x, y in _round(5, 0.3, 0.3):
        pen.ellipse(x, y - 0.3, 0.38)
    pen.ellipse(0, -0.3, 0.42)
    pen.line([(-0.22, -0.25), (-0.1, -0.5), (0.18, -0.45), (0.2, -0.2), (0, -0.12), (-0.06, -0.3), (0.06, -0.34)], 0.06)


@drawing
def tulip(pen: Pen) -> None:
    """A cup with three points."""
    _stem(pen, 0)
    pen.polygon([(-0.5, -0.95), (-0.25, -0.6), (0, -1), (0.25, -0.6), (0.5, -0.95), (0.5, -0.25), (0.25, 0.1), (-0.25, 0.1), (-0.5, -0.25)])  # fmt: skip
    pen.line([(0, -0.95), (-0.2, -0.5), (-0.1, 0.05)], 0.05)
    pen.line([(0, -0.95), (0.2, -0.5), (0.1, 0.05)], 0.05)


@drawing
def poppy(pen: Pen) -> None:
    """Four wide petals around a dark eye."""
    pen.line([(0.05, 0), (-0.1, 0.5), (0, 0.98)], 0.08, "leaf")
    for x, y in ((-0.36, -0.3), (0.36, -0.3), (0, -0.6), (0, -0.02)):
        pen.ellipse(x, y, 0.46, 0.36)
    pen.ellipse(0, -0.3, 0.2, paint="ink")
    for x, y in _round(6, 0.13):
        pen.dot(x, y - 0.3, 0.035, "gold")


@drawing
def daisy(pen: Pen) -> None:
    """Narrow petals around a golden eye."""
    _stem(pen, 0)
    for x, y in _round(9, 0.48):
        pen.ellipse(x, y - 0.32, 0.19)
        pen.polygon([(x * 0.3 - y * 0.25, y * 0.3 + x * 0.25 - 0.32), (x, y - 0.32), (x * 0.3 + y * 0.25, y * 0.3 - x * 0.25 - 0.32)], outlined=False)  # fmt: skip
    pen.ellipse(0, -0.32, 0.24, paint="gold")


@drawing
def apple(pen: Pen) -> None:
    """Two lobes, a stalk and a leaf."""
    pen.ellipse(-0.3, 0.15, 0.52, 0.68)
    pen.ellipse(0.3, 0.15, 0.52, 0.68)
    pen.ellipse(0, 0.2, 0.45, 0.58, outlined=False)
    pen.line([(0, -0.4), (0.08, -0.85)], 0.12, "brown")
    pen.polygon([(0.08, -0.6), (0.35, -0.95), (0.7, -0.85), (0.4, -0.55)], "leaf")


@drawing
def pear(pen: Pen) -> None:
    """A small lobe on a large one."""
    pen.ellipse(0, 0.38, 0.62, 0.58)
    pen.ellipse(0, -0.3, 0.34, 0.46)
    pen.polygon([(-0.3, -0.35), (0.3, -0.35), (0.52, 0.3), (-0.52, 0.3)], outlined=False)
    pen.line([(-0.3, -0.38), (-0.36, -0.1), (-0.56, 0.2)], 0.045)
    pen.line([(0.3, -0.38), (0.36, -0.1), (0.56, 0.2)], 0.045)
    pen.line([(0, -0.7), (0.1, -1)], 0.12, "brown")


@drawing
def cherry(pen: Pen) -> None:
    """Two balls on joined stalks."""
    pen.line([(-0.42, 0.2), (-0.2, -0.4), (0.15, -0.9)], 0.09, "leaf")
    pen.line([(0.45, 0.3), (0.4, -0.4), (0.15, -0.9)], 0.09, "leaf")
    pen.polygon([(0.15, -0.9), (-0.3, -1), (-0.6, -0.75), (-0.2, -0.65)], "leaf")
    pen.ellipse(-0.45, 0.45, 0.42)
    pen.ellipse(0.48, 0.5, 0.42)


@drawing
def strawberry(pen: Pen) -> None:
    """A pointed berry with a green crown."""
    pen.polygon([(-0.68, -0.45), (-0.4, -0.65), (0.4, -0.65), (0.68, -0.45), (0.62, 0), (0.3, 0.65), (0, 0.95), (-0.3, 0.65), (-0.62, 0)])  # fmt: skip
    for x, y in ((-0.35, -0.2), (0, -0.25), (0.35, -0.2), (-0.18, 0.15), (0.18, 0.15), (0, 0.5)):
        pen.dot(x, y, 0.05, "gold")
    pen.polygon(
        [(-0.75, -0.55), (-0.3, -0.7), (0, -0.98), (0.3, -0.7), (0.75, -0.55), (0.3, -0.45), (0, -0.3), (-0.3, -0.45)], "leaf"
    )


@drawing
def carrot(pen: Pen) -> None:
    """A long cone with green tops."""
    for x in (-0.35, 0, 0.35):
        pen.line([(0, -0.5), (x, -0.98)], 0.14, "leaf")
    pen.polygon([(-0.4, -0.45), (0, -0.6), (0.4, -0.45), (0.12, 0.7), (0, 0.98), (-0.12, 0.7)])


@drawing
def mushroom(pen: Pen) -> None:
    """A stalk under a cap."""
    pen.box(-0.25, 0, 0.25, 0.9, "cream", 0.15)
    pen.half(0, 0.1, 0.9, 0.95)


@drawing
def cat(pen: Pen) -> None:
    """A face with pointed ears and whiskers."""
    pen.polygon([(-0.75, -0.95), (-0.15, -0.5), (-0.7, 0)])
    pen.polygon([(0.75, -0.95), (0.15, -0.5), (0.7, 0)])
    pen.ellipse(0, 0.15, 0.8, 0.7)
    pen.eyes(0, 0, 0.32, 0.1)
    pen.polygon([(-0.12, 0.25), (0.12, 0.25), (0, 0.38)], "pink")
    for side in (-1, 1):
        for lift in (-0.08, 0.12):
            pen.line([(side * 0.25, 0.38), (side * 0.95, 0.38 + lift)], 0.035, "grey")


@drawing
def dog(pen: Pen) -> None:
    """A face with hanging ears and a snout."""
    pen.ellipse(0, 0, 0.68, 0.78)
    pen.ellipse(-0.7, 0, 0.25, 0.6, "brown")
    pen.ellipse(0.7, 0, 0.25, 0.6, "brown")
    pen.eyes(0, -0.2, 0.28, 0.1)
    pen.ellipse(0, 0.42, 0.36, 0.3, "cream")
    pen.ellipse(0, 0.26, 0.16, 0.12, "ink")
    pen.ellipse(0, 0.72, 0.13, 0.2, "pink")


@drawing
def rabbit(pen: Pen) -> None:
    """A face under long ears."""
    for side in (-1, 1):
        pen.ellipse(side * 0.28, -0.55, 0.2, 0.45)
        pen.ellipse(side * 0.28, -0.5, 0.09, 0.3, "pink", outlined=False)
    pen.ellipse(0, 0.38, 0.62, 0.58)
    pen.eyes(0, 0.25, 0.25, 0.09)
    pen.dot(0, 0.5, 0.09, "pink")
    pen.box(-0.12, 0.62, 0.12, 0.82, "white")


@drawing
def fish(pen: Pen) -> None:
    """An oval with a tail."""
    pen.polygon([(0.35, 0), (0.95, -0.55), (0.95, 0.55)])
    pen.polygon([(-0.1, -0.4), (0.15, -0.85), (0.3, -0.3)])
    pen.ellipse(-0.2, 0, 0.75, 0.52)
    pen.eyes(-0.58, -0.12, 0, 0.1)


@drawing
def bird(pen: Pen) -> None:
    """A round bird in profile, with a beak and a wing."""
    pen.line([(-0.1, 0.5), (-0.15, 0.95)], 0.07, "orange")
    pen.line([(0.15, 0.5), (0.15, 0.95)], 0.07, "orange")
    pen.polygon([(0.4, 0.1), (0.98, -0.25), (0.9, 0.25)])
    pen.ellipse(0.05, 0.15, 0.6, 0.48)
    pen.ellipse(-0.4, -0.35, 0.38)
    pen.polygon([(-0.72, -0.45), (-1, -0.28), (-0.72, -0.2)], "orange")
    pen.eyes(-0.45, -0.42, 0, 0.08)
    pen.half(0.15, 0.1, 0.35, 0.32, "white", upper=False)


@drawing
def butterfly(pen: Pen) -> None:
    """Four wings."""
    for side in (-1, 1):
        pen.ellipse(side * 0.5, -0.32, 0.46, 0.5)
        pen.ellipse(side * 0.42, 0.45, 0.36, 0.38)
        pen.line([(0, -0.5), (side * 0.2, -0.95)], 0.05)
    pen.ellipse(0, 0.05, 0.1, 0.62, "ink")


@drawing
def snail(pen: Pen) -> None:
    """A shell with a spiral on a soft foot."""
    pen.box(-0.9, 0.6, 0.85, 0.9, "skin", 0.14)
    pen.box(-0.95, -0.1, -0.65, 0.85, "skin", 0.14)
    pen.line([(-0.85, -0.05), (-0.95, -0.5)], 0.06)
    pen.line([(-0.72, -0.05), (-0.6, -0.5)], 0.06)
    pen.ellipse(0.15, 0.05, 0.68)
    pen.line([(0.6, 0.35), (0.15, 0.55), (-0.28, 0.15), (-0.02, -0.3), (0.42, -0.2), (0.45, 0.12), (0.2, 0.25), (0.08, 0.05)], 0.06)  # fmt: skip


@drawing
def bee(pen: Pen) -> None:
    """An oval with a black end, two wings and a sting."""
    pen.ellipse(-0.05, -0.5, 0.28, 0.42, "glass")
    pen.ellipse(0.35, -0.45, 0.26, 0.4, "glass")
    pen.polygon([(0.7, 0.1), (0.99, 0.2), (0.7, 0.35)], "ink")
    pen.ellipse(0.1, 0.2, 0.7, 0.45)
    pen.box(0.4, -0.1, 0.56, 0.5, "ink", outlined=False)
    pen.ellipse(-0.62, 0.15, 0.32, paint="ink")
    pen.dot(-0.68, 0.1, 0.08, "white")
    pen.line([(-0.7, -0.1), (-0.9, -0.5)], 0.05)


def _wheels(pen: Pen, places: tuple[float, ...], y: float, r: float) -> None:
    for x in places:
        pen.ellipse(x, y, r, paint="ink")
        pen.dot(x, y, r * 0.45, "grey")


@drawing
def car(pen: Pen) -> None:
    """A low body with a cabin."""
    pen.polygon([(-0.55, 0.05), (-0.35, -0.45), (0.3, -0.45), (0.6, 0.05)])
    pen.polygon([(-0.4, 0), (-0.26, -0.34), (-0.02, -0.34), (-0.02, 0)], "glass")
    pen.polygon([(0.08, 0), (0.08, -0.34), (0.24, -0.34), (0.42, 0)], "glass")
    pen.box(-0.95, 0, 0.95, 0.45, rounded=0.15)
    pen.dot(-0.84, 0.18, 0.09, "gold")
    _wheels(pen, (-0.5, 0.5), 0.45, 0.24)


@drawing
def bus(pen: Pen) -> None:
    """A tall box with a row of windows."""
    pen.box(-0.95, -0.7, 0.95, 0.55, rounded=0.12)
    for x in (-0.78, -0.36, 0.06, 0.48):
        pen.box(x, -0.5, x + 0.3, -0.1, "glass")
    _wheels(pen, (-0.5, 0.5), 0.6, 0.24)


@drawing
def boat(pen: Pen) -> None:
    """A hull under two sails."""
    pen.line([(0, -0.98), (0, 0.4)], 0.09, "brown")
    pen.polygon([(-0.08, -0.9), (-0.08, 0.25), (-0.75, 0.25)])
    pen.polygon([(0.1, -0.75), (0.1, 0.25), (0.65, 0.25)])
    pen.polygon([(-0.95, 0.4), (0.95, 0.4), (0.6, 0.9), (-0.6, 0.9)], "brown")


@drawing
def rocket(pen: Pen) -> None:
    """A pointed body with fins, a window and a flame."""
    pen.polygon([(-0.22, 0.6), (0, 0.99), (0.22, 0.6)], "orange")
    pen.polygon([(-0.3, 0.1), (-0.75, 0.7), (-0.3, 0.55)], "grey")
    pen.polygon([(0.3, 0.1), (0.75, 0.7), (0.3, 0.55)], "grey")
    pen.polygon([(0, -0.99), (0.25, -0.6), (0.35, -0.2), (0.3, 0.6), (-0.3, 0.6), (-0.35, -0.2), (-0.25, -0.6)])
    pen.ellipse(0, -0.2, 0.17, paint="glass")


@drawing
def balloon(pen: Pen) -> None:
    """An oval on a string."""
    pen.line([(0, 0.45), (0.1, 0.65), (-0.08, 0.8), (0, 0.98)], 0.05)
    pen.polygon([(-0.12, 0.52), (0.12, 0.52), (0, 0.36)])
    pen.ellipse(0, -0.25, 0.62, 0.7)
    pen.ellipse(-0.25, -0.5, 0.1, 0.16, "white", outlined=False)


@drawing
def kite(pen: Pen) -> None:
    """A diamond with a tail."""
    pen.line([(0, 0.4), (0.25, 0.6), (-0.05, 0.75), (0.3, 0.97)], 0.05)
    pen.polygon([(0, -0.98), (0.6, -0.35), (0, 0.45), (-0.6, -0.35)])
    pen.line([(0, -0.95), (0, 0.42)], 0.045)
    pen.line([(-0.57, -0.35), (0.57, -0.35)], 0.045)
    pen.polygon([(0.1, 0.58), (0.32, 0.5), (0.3, 0.72)], "gold")
    pen.polygon([(-0.05, 0.72), (0.14, 0.86), (-0.1, 0.9)], "gold")


@drawing
def umbrella(pen: Pen) -> None:
    """A canopy over a hooked stick."""
    pen.line([(0, -0.8), (0, 0.75), (0.1, 0.9), (0.25, 0.88), (0.3, 0.72)], 0.09, "brown")
    pen.half(0, 0.05, 0.95, 0.9)
    for x in (-0.63, 0, 0.63):
        pen.half(x, 0.06, 0.31, 0.14, "ink")


@drawing
def ball(pen: Pen) -> None:
    """A disc with two seams."""
    pen.ellipse(0, 0, 0.88)
    pen.line([(-0.5, -0.7), (-0.2, -0.3), (-0.15, 0.2), (-0.4, 0.76)], 0.06)
    pen.line([(0.5, -0.7), (0.2, -0.3), (0.15, 0.2), (0.4, 0.76)], 0.06)


@drawing
def house(pen: Pen) -> None:
    """Walls, roof, door and window."""
    pen.box(0.35, -0.9, 0.58, -0.3, "grey")
    pen.box(-0.7, -0.15, 0.7, 0.9)
    pen.polygon([(-0.95, -0.1), (0, -0.95), (0.95, -0.1)], "brown")
    pen.box(-0.5, 0.3, -0.1, 0.9, "brown")
    pen.box(0.12, 0.1, 0.52, 0.5, "glass")


@drawing
def tent(pen: Pen) -> None:
    """A triangle with a dark opening."""
    pen.polygon([(0, -0.75), (0.98, 0.75), (-0.98, 0.75)])
    pen.polygon([(0, -0.1), (0.35, 0.75), (-0.35, 0.75)], "ink")
    pen.line([(0, -0.75), (0, -0.98)], 0.08, "brown")


@drawing
def tree(pen: Pen) -> None:
    """A crown of three discs on a trunk."""
    pen.box(-0.16, 0.2, 0.16, 0.95, "brown")
    for x, y in ((-0.38, 0.05), (0.38, 0.05), (0, -0.45)):
        pen.ellipse(x, y, 0.48)
    pen.ellipse(0, -0.1, 0.4, outlined=False)


@drawing
def cup(pen: Pen) -> None:
    """A mug with a handle and steam."""
    pen.ellipse(0.55, 0.2, 0.36, 0.36, "grey")
    pen.ellipse(0.55, 0.2, 0.17, 0.17, "cream")
    pen.box(-0.7, -0.3, 0.5, 0.85, rounded=0.15)
    pen.ellipse(-0.1, -0.3, 0.6, 0.14, "brown")
    pen.line([(-0.3, -0.5), (-0.2, -0.7), (-0.3, -0.95)], 0.06, "grey")
    pen.line([(0.1, -0.5), (0.2, -0.7), (0.1, -0.95)], 0.06, "grey")


@drawing
def chair(pen: Pen) -> None:
    """A seat with back and legs, from the side."""
    for x in (-0.5, 0.45):
        pen.line([(x, 0.25), (x, 0.95)], 0.14, "brown")
    pen.box(-0.65, -0.95, -0.35, 0.3, rounded=0.1)
    pen.box(-0.65, 0.05, 0.65, 0.38, rounded=0.1)


@drawing
def gift(pen: Pen) -> None:
    """A box with a ribbon and a bow."""
    pen.box(-0.75, -0.2, 0.75, 0.9)
    pen.box(-0.88, -0.45, 0.88, -0.1)
    pen.box(-0.13, -0.45, 0.13, 0.9, "gold")
    pen.ellipse(-0.28, -0.66, 0.28, 0.2, "gold")
    pen.ellipse(0.28, -0.66, 0.28, 0.2, "gold")


@drawing
def star(pen: Pen) -> None:
    """Five points."""
    outer, inner = _round(5, 0.95), _round(5, 0.42, math.pi / 5)
    pen.polygon([point for pair in zip(outer, inner, strict=True) for point in pair])


@drawing
def heart(pen: Pen) -> None:
    """Two lobes and a point."""
    steps = [2 * math.pi * n / 40 for n in range(40)]
    pen.polygon([
        (0.056 * 16 * math.sin(t) ** 3, -0.056 * (13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)))
        for t in steps
    ])  # fmt: skip
