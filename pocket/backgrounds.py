"""Five places at three times of day."""

from __future__ import annotations

from PIL import Image, ImageDraw

from .pen import PAINTS, Colour

_SKY: dict[str, tuple[Colour, Colour]] = {
    "day": ((120, 190, 245), (214, 238, 252)),
    "sunset": ((150, 90, 150), (255, 176, 96)),
    "night": ((12, 18, 52), (44, 52, 104)),
}
_GROUND: dict[str, Colour] = {
    "field": (126, 190, 84),
    "beach": (232, 208, 146),
    "snow": (240, 244, 250),
    "room": (168, 122, 84),
    "city": (132, 134, 142),
}
_WALL: Colour = (236, 220, 196)
_LIGHT = {"day": 1.0, "sunset": 0.86, "night": 0.5}
_HORIZON = 0.62
_FLAKES = ((0.08, 0.12), (0.25, 0.4), (0.4, 0.22), (0.55, 0.5), (0.7, 0.14), (0.92, 0.45), (0.15, 0.55), (0.48, 0.05))


def _lit(colour: Colour, time: str) -> Colour:
    return tuple(round(part * _LIGHT[time]) for part in colour)


def _sky(image: Image.Image, time: str, box: tuple[int, int, int, int]) -> None:
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = box
    high, low = _SKY[time]
    for y in range(top, bottom):
        share = (y - top) / max(1, bottom - top)
        colour = tuple(round(a + share * (b - a)) for a, b in zip(high, low, strict=True))
        draw.line([(left, y), (right, y)], fill=colour)
    width, height = right - left, bottom - top
    if time == "night":
        for x, y in ((0.1, 0.15), (0.3, 0.3), (0.45, 0.1), (0.62, 0.35), (0.95, 0.5), (0.2, 0.6)):
            cx, cy, r = left + x * width, top + y * height, 0.012 * image.width
            draw.ellipse([cx - r, cy - r, cx + r, cy + r], fill=(250, 250, 220))
    x, y, colour = {
        "day": (0.85, 0.2, (255, 226, 70)),
        "sunset": (0.85, 0.8, (255, 110, 60)),
        "night": (0.85, 0.2, (238, 238, 226)),
    }[time]
    r = 0.13 * min(width, 1.6 * height)
    cx, cy = left + x * width, top + y * height
    draw.ellipse([cx - r, cy - r, cx + r, cy + r], fill=colour)
    if time == "night":
        draw.ellipse([cx - 1.5 * r, cy - 1.2 * r, cx + 0.4 * r, cy + 0.6 * r], fill=_SKY[time][0])


def draw_background(side: int, place: str, time: str) -> Image.Image:
    """A square picture of a place at a time, ``side`` pixels wide."""
    image = Image.new("RGB", (side, side))
    horizon = round(_HORIZON * side)
    draw = ImageDraw.Draw(image)
    if place == "room":
        draw.rectangle([0, 0, side, horizon], fill=_lit(_WALL, time))
        window = (round(0.56 * side), round(0.06 * side), round(0.95 * side), round(0.42 * side))
        _sky(image, time, window)
        draw.rectangle(window, outline=PAINTS["brown"], width=round(0.025 * side))
        middle = (window[0] + window[2]) // 2
        draw.line([(middle, window[1]), (middle, window[3])], fill=PAINTS["brown"], width=round(0.02 * side))
    else:
        _sky(image, time, (0, 0, side, horizon))
    if place == "city":
        for x, top in ((0.0, 0.3), (0.2, 0.14), (0.42, 0.36), (0.6, 0.24), (0.8, 0.4)):
            box = [round(x * side), round(top * side), round((x + 0.17) * side), horizon]
            draw.rectangle(box, fill=_lit((108, 104, 122), time))
            for row in range(4):
                for column in range(2):
                    wx, wy = box[0] + (0.025 + 0.07 * column) * side, box[1] + (0.03 + 0.085 * row) * side
                    if wy + 0.04 * side < horizon:
                        light = (255, 226, 120) if time == "night" else _lit((196, 214, 226), time)
                        draw.rectangle([wx, wy, wx + 0.045 * side, wy + 0.04 * side], fill=light)
    if place == "beach":
        draw.rectangle([0, round(0.5 * side), side, horizon], fill=_lit((52, 140, 190), time))
    draw.rectangle([0, horizon, side, side], fill=_lit(_GROUND[place], time))
    if place == "field":
        for x in range(7):
            for y in (0.7, 0.84, 0.96):
                cx, cy = (x / 6.5 + 0.06 * (y > 0.8)) * side, y * side
                blade = [(cx, cy), (cx + 0.015 * side, cy - 0.05 * side)]
                draw.line(blade, fill=_lit((78, 146, 52), time), width=round(0.015 * side))
    elif place == "room":
        for y in (0.72, 0.84, 0.95):
            draw.line([(0, y * side), (side, y * side)], fill=_lit((136, 94, 62), time), width=round(0.012 * side))
    elif place == "city":
        for x in (0.05, 0.4, 0.75):
            draw.rectangle([x * side, 0.8 * side, (x + 0.2) * side, 0.83 * side], fill=_lit((230, 230, 220), time))
    elif place == "snow":
        for x, y in _FLAKES:
            r = 0.016 * side
            draw.ellipse([x * side - r, y * side - r, x * side + r, y * side + r], fill=(255, 255, 255))
    return image
