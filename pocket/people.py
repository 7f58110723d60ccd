"""How each role is drawn: a person in clothes of any colour, with the things of the trade, with a hat or without."""

from __future__ import annotations

from collections.abc import Callable

from .pen import Pen

Part = Callable[[Pen], None]


def draw_person(pen: Pen, role: str, hat: bool) -> None:
    """A person of that role."""
    trade, headwear, hair = ROLE_PARTS[role]
    pen.polygon([(-0.3, 0.1), (0.3, 0.1), (0.7, 0.98), (-0.7, 0.98)])
    pen.ellipse(0, -0.25, 0.4, 0.42, "skin")
    if hair:
        pen.half(0, -0.32, 0.42, 0.4, hair)
    pen.eyes(0, -0.22, 0.17, 0.06)
    trade(pen)
    if hat:
        headwear(pen)


def _wizard(pen: Pen) -> None:
    pen.polygon([(-0.34, -0.05), (0.34, -0.05), (0.22, 0.5), (0, 0.75), (-0.22, 0.5)], "white")
    pen.line([(0.8, -0.1), (0.72, 0.98)], 0.09, "brown")
    pen.ellipse(0.8, -0.2, 0.15, paint="gold")


def _pointed_hat(pen: Pen) -> None:
    pen.polygon([(-0.5, -0.42), (0.1, -1), (0.5, -0.42)], "blue")
    pen.dot(0, -0.6, 0.09, "gold")


def _pirate(pen: Pen) -> None:
    pen.line([(-0.4, -0.4), (0.38, -0.2)], 0.06)
    pen.ellipse(0.17, -0.22, 0.15, paint="ink")
    pen.line([(-0.8, 0.95), (-0.8, 0.2)], 0.1, "grey")
    pen.line([(-0.95, 0.7), (-0.65, 0.7)], 0.08, "gold")


def _pirate_hat(pen: Pen) -> None:
    pen.polygon([(-0.7, -0.42), (-0.45, -0.85), (0, -1), (0.45, -0.85), (0.7, -0.42)], "ink")
    pen.ellipse(0, -0.7, 0.12, paint="white")


def _chef(pen: Pen) -> None:
    pen.line([(-0.2, -0.03), (0.2, -0.03)], 0.09, "ink")
    pen.ellipse(0.75, 0.35, 0.22, paint="ink")
    pen.line([(0.75, 0.5), (0.75, 0.95)], 0.09, "brown")


def _chef_hat(pen: Pen) -> None:
    for x in (-0.3, 0, 0.3):
        pen.ellipse(x, -0.8, 0.22, paint="white")
    pen.box(-0.38, -0.72, 0.38, -0.45, "white")


def _king(pen: Pen) -> None:
    pen.half(0, -0.08, 0.36, 0.4, "brown", upper=False)
    pen.box(-0.12, 0.35, 0.12, 0.98, "cream")
    pen.line([(0.8, 0.1), (0.8, 0.95)], 0.09, "gold")
    pen.ellipse(0.8, 0.05, 0.13, paint="red")


def _crown(pen: Pen) -> None:
    pen.polygon([(-0.42, -0.48), (-0.48, -0.95), (-0.2, -0.7), (0, -1), (0.2, -0.7), (0.48, -0.95), (0.42, -0.48)], "gold")


def _farmer(pen: Pen) -> None:
    pen.line([(-0.8, -0.1), (-0.8, 0.98)], 0.08, "brown")
    for x in (-0.95, -0.8, -0.65):
        pen.line([(x, -0.5), (x, -0.1)], 0.07, "grey")
    pen.line([(-0.95, -0.1), (-0.65, -0.1)], 0.08, "grey")


def _straw_hat(pen: Pen) -> None:
    pen.half(0, -0.5, 0.38, 0.45, "cream")
    pen.ellipse(0, -0.5, 0.72, 0.12, "cream")


def _knight(pen: Pen) -> None:
    pen.polygon([(0.3, 0.2), (0.98, 0.2), (0.98, 0.6), (0.64, 0.95), (0.3, 0.6)], "red")
    pen.line([(0.64, 0.25), (0.64, 0.85)], 0.1, "gold")
    pen.line([(0.38, 0.45), (0.9, 0.45)], 0.1, "gold")
    pen.line([(-0.8, 0.98), (-0.8, -0.1)], 0.1, "grey")


def _helmet(pen: Pen) -> None:
    pen.half(0, -0.28, 0.46, 0.55, "grey")
    pen.polygon([(0, -0.8), (0.1, -1), (0.55, -0.95), (0.3, -0.75)], "red")


def _doctor(pen: Pen) -> None:
    pen.line([(-0.25, 0.12), (-0.2, 0.5), (0.15, 0.55), (0.25, 0.12)], 0.07, "ink")
    pen.ellipse(-0.02, 0.6, 0.13, paint="grey")
    pen.box(0.58, 0.4, 0.98, 0.75, "white")
    pen.line([(0.78, 0.46), (0.78, 0.69)], 0.1, "red")
    pen.line([(0.66, 0.575), (0.9, 0.575)], 0.1, "red")


def _surgeon_cap(pen: Pen) -> None:
    pen.half(0, -0.42, 0.42, 0.36, "leaf")


def _clown(pen: Pen) -> None:
    for side in (-1, 1):
        pen.ellipse(side * 0.45, -0.35, 0.22, paint="orange")
    pen.ellipse(0, -0.12, 0.13, paint="red")
    pen.half(0, 0, 0.18, 0.12, "red", upper=False)


def _cone(pen: Pen) -> None:
    pen.polygon([(-0.25, -0.58), (0, -0.95), (0.25, -0.58)], "leaf")
    pen.ellipse(0, -0.92, 0.1, paint="gold")


def _painter(pen: Pen) -> None:
    pen.ellipse(0.65, 0.55, 0.33, 0.26, "brown")
    for x, y, paint in ((0.5, 0.5, "red"), (0.68, 0.42, "gold"), (0.82, 0.55, "blue"), (0.62, 0.68, "white")):
        pen.dot(x, y, 0.08, paint)
    pen.line([(-0.75, 0.9), (-0.75, 0.3)], 0.08, "brown")
    pen.ellipse(-0.75, 0.22, 0.08, 0.16, "red")


def _beret(pen: Pen) -> None:
    pen.ellipse(0.08, -0.62, 0.5, 0.2, "red")


def _sailor(pen: Pen) -> None:
    pen.polygon([(-0.35, 0.12), (0.35, 0.12), (0, 0.5)], "white")
    pen.line([(0.8, 0.25), (0.8, 0.9)], 0.09, "grey")
    pen.line([(0.62, 0.65), (0.68, 0.88), (0.92, 0.88), (0.98, 0.65)], 0.08, "grey")


def _sailor_cap(pen: Pen) -> None:
    pen.box(-0.42, -0.72, 0.42, -0.5, "white")
    pen.ellipse(0, -0.74, 0.34, 0.1, "blue")


ROLE_PARTS: dict[str, tuple[Part, Part, str]] = {
    "wizard": (_wizard, _pointed_hat, "white"),
    "pirate": (_pirate, _pirate_hat, "ink"),
    "chef": (_chef, _chef_hat, "brown"),
    "king": (_king, _crown, "brown"),
    "farmer": (_farmer, _straw_hat, "orange"),
    "knight": (_knight, _helmet, "ink"),
    "doctor": (_doctor, _surgeon_cap, "ink"),
    "clown": (_clown, _cone, ""),
    "painter": (_painter, _beret, "brown"),
    "sailor": (_sailor, _sailor_cap, "brown"),
}
"""Role to what shows the trade, the hat, and the colour of the hair ("" for none)."""
