"""The command that draws how the training went: ``edit-assumption pocket curve``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from ..console import plain_output, run
from ..editing.errors import EditError
from ..editing.whole_file import why
from ..pictures.save import check_picture, save_picture
from . import WEIGHTS
from .training import LOGS

_TITLES = {
    "vae": "autoencoder", "text": "text encoder", "unet": "UNet", "decoder": "decoder", "judge": "judge", "names": "names",
}  # fmt: skip


def read_log(path: Path) -> dict[int, float]:
    """Step to loss. Steps that were done again after a stop count as they were the last time."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return dict(sorted({line["step"]: line["loss"] for line in lines}.items()))


def curves(folder: Path) -> Figure:
    """The loss of every stage that has a log in the folder. Raises :class:`EditError` if none has."""
    logs = {name: read_log(folder / f"{name}.jsonl") for name in _TITLES if (folder / f"{name}.jsonl").exists()}
    if not logs:
        raise EditError(f"“{folder}” has no logs of a training; name the folder with --logs.")
    figure = Figure(figsize=(11, 2.8), layout="constrained")
    for axes, (name, losses) in zip(figure.subplots(1, len(logs), squeeze=False)[0], logs.items(), strict=True):
        axes.plot(list(losses), list(losses.values()), color="#3b6fb5", lw=1.2)
        axes.set(title=_TITLES[name], xlabel="step", yscale="log")
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("loss")
    return figure


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and draw."""
    plain_output()
    parser = argparse.ArgumentParser(prog="edit-assumption pocket curve", description="Draws the training's losses.")
    parser.add_argument("--logs", type=Path, default=WEIGHTS / LOGS, help="the folder with the logs")
    parser.add_argument("--out", type=Path, default=Path("pocket-training.png"))
    options = parser.parse_args(arguments)
    return run(lambda: _drawn(options))


def _drawn(options: argparse.Namespace) -> str:
    check_picture(options.out)
    figure = curves(options.logs)
    try:
        save_picture(figure, options.out, 120)
    except OSError as error:
        raise EditError(f"“{options.out}” cannot be written: {why(error)}; give another place.") from error
    return f"picture: {options.out}"
