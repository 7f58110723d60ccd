"""The command: measures everything in one run and prints a table. ``edit-assumption bench edits --help``."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Sequence
from dataclasses import asdict

import torch

from ..console import plain_output, run
from ..editing.whole_file import check_place
from . import find_host, library
from .output import save_answer, say
from .rows import Row, markdown

HOST_ROWS = (
    "encoding the prompts one by one, against in one batch",
    "the captions' second moment, once for each text encoder, against encoding the edit's prompts",
    "the whole node, against its text encoding alone",
    "sampling with the edit, against without",
    "sampling with the edit on the text, against without",
)


def host_rows(names: Sequence[str], comfyui: str | None, checkpoint: str | None, *options: str) -> tuple[list[Row], str]:
    """The rows measured in ComfyUI and a line about its torch; skipped rows and the reason where there is none.

    Args:
        names: of the rows.
        comfyui, checkpoint: as the user chose them.
        options: of host.py.
    """
    try:
        folder = find_host.comfyui_folder(comfyui)
        measured = find_host.run_host(folder, find_host.checkpoint_file(checkpoint, folder), *options)
    except find_host.NoHostError as reason:
        return [Row(what, None, "×", str(reason)) for what in names], f"ComfyUI: skipped, {reason}."
    return [Row(**row) for row in measured["rows"]], f"ComfyUI: torch {measured['torch']}, {measured['threads']} threads."


def add_host_options(parser: argparse.ArgumentParser) -> None:
    """Where ComfyUI and its checkpoint are."""
    parser.add_argument("--comfyui", metavar="PATH", help="ComfyUI's folder; else COMFYUI_PATH, else ~/comfy/ComfyUI")
    parser.add_argument("--checkpoint", metavar="PATH", help="an SD 1.x checkpoint; else the first one that ComfyUI has")


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, measure, print, save."""
    plain_output()
    parser = argparse.ArgumentParser(prog="edit-assumption bench edits", description="Measures edits at the size of SD 1.5.")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, and at most 100 pairs together")
    parser.add_argument("--json", metavar="OUT", help="also write the results to this file")
    add_host_options(parser)
    options = parser.parse_args(arguments)
    return run(lambda: _measured(options))


def _measured(options: argparse.Namespace) -> str:
    if options.json:
        check_place(options.json)
    say("measuring the library …")
    before, after = library.measure(options.quick)
    say("measuring in ComfyUI …")
    hosted, host_line = host_rows(HOST_ROWS, options.comfyui, options.checkpoint, *(["--quick"] if options.quick else []))
    rows = [*before, *hosted, *after]
    machine = f"Library: torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}."
    text = f"{markdown(rows)}\n\n{machine} {host_line}"
    if options.json:
        answer = {"library": machine, "host": host_line, "quick": options.quick, "rows": [asdict(row) for row in rows]}
        save_answer(answer, options.json, text)
    return text
