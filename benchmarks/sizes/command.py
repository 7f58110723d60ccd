"""The command: every size in one run, as tables. ``edit-assumption bench sizes --help``."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from ...console import plain_output, run
from ...editing.errors import EditError
from ...editing.whole_file import check_place, save_somewhere
from ..output import save_answer, say
from ..rows import Row, markdown
from ..run import add_host_options, host_rows
from .measure import Point, measure_size
from .model_sizes import SIZES
from .table import NOTES, everything, ratios

SAMPLING_ROWS = tuple(
    f"sampling with the edit{way}, against without" for way in ("", " on the text", " in a hook", " as a LoRA")
)
_QUICK_PAIRS, _PAIRS = (1, 10), (1, 10, 100, 1000)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, measure, print, save."""
    plain_output()
    parser = argparse.ArgumentParser(
        prog="edit-assumption bench sizes",
        description="Measures edits beside TIME, UCE and EMCID at the size of SD 1.5, SDXL and Flux, with random weights.",
    )
    parser.add_argument("--quick", action="store_true", help="SD 1.5's size, up to 10 pairs, one call each, no ComfyUI")
    parser.add_argument("--pairs", type=int, nargs="+", metavar="N", help="how many are edited together; one pair always is")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, help="of these models alone")
    parser.add_argument("--device", metavar="NAME", help="such as cpu or cuda; else the GPU where there is one")
    parser.add_argument("--json", metavar="OUT", help="also write the results to this file")
    parser.add_argument("--chart", metavar="OUT", help="also draw how the cost grows, to this .png or .svg")
    add_host_options(parser)
    options = parser.parse_args(arguments)
    return run(lambda: _measured(options))


def _measured(options: argparse.Namespace) -> str:
    pairs = options.pairs or (_QUICK_PAIRS if options.quick else _PAIRS)
    if min(pairs) < 1:
        raise EditError(f"The number of pairs is {min(pairs)}; give numbers from 1 on.")
    if options.json:
        check_place(options.json)
    if options.chart:
        from ...pictures.save import check_picture

        check_picture(Path(options.chart))
    device = _device(options.device)
    points = _points(options.sizes or (["SD 1.5"] if options.quick else list(SIZES)), pairs, device, options.quick)
    machine = f"{_name(device)}, torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}."
    hosted: list[Row] = []
    if not options.quick:
        say("sampling in ComfyUI …")
        hosted, line = host_rows(SAMPLING_ROWS, options.comfyui, options.checkpoint, "--sampling")
        machine = f"{machine} {line}"
    notes = "\n".join(f"- {note}" for note in NOTES)
    parts = [ratios(points), everything(points), *([markdown(hosted)] if hosted else []), machine, notes]
    text = "\n\n".join(parts)
    if options.json:
        answer = {"machine": machine, "points": [asdict(point) for point in points], "rows": [asdict(row) for row in hosted]}
        save_answer(answer, options.json, text)
    if options.chart:
        from ...pictures.save import save_picture
        from .chart import cost_picture

        figure = cost_picture(points)
        save_somewhere(lambda path: save_picture(figure, Path(path), 110), Path(options.chart), "The chart", text)
    return text


def _points(sizes: Sequence[str], pairs: Sequence[int], device: str, quick: bool) -> list[Point]:
    found = []
    for name in sizes:
        for point in measure_size(SIZES[name], pairs, device, *([0] if quick else [])):
            say(f"{point.size}, {point.pairs:,} pairs: {point.method} …")
            found.append(point)
    return found


def _device(asked: str | None) -> str:
    """The device to measure on. Raises :class:`EditError` where torch cannot use what was asked for."""
    if asked is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=asked)
    except (RuntimeError, AssertionError):
        raise EditError(f"torch cannot use the device “{asked}”; give cpu, or cuda where there is a GPU.") from None
    return asked


def _name(device: str) -> str:
    if device.startswith("cuda"):
        return str(torch.cuda.get_device_name(device))
    return f"CPU, {os.cpu_count()} cores"
