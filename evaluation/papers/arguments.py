"""What the command ``evaluate`` can be told beside the pocket suite: a file of edits and a model. Imports nothing heavy."""

from __future__ import annotations

import argparse
from pathlib import Path

from ...pipelines.concept_arguments import add_concept_settings


def add_papers(parser: argparse.ArgumentParser) -> None:
    """The options that go with ``--data``."""
    group = parser.add_argument_group(
        "a file of edits, on a model of your own",
        "With --data the command repeats the papers' tables on any pipeline that the package edits. It goes on where it was "
        "stopped, and `accelerate launch` shares it out over processes.",
    )
    group.add_argument(
        "--data", type=Path, metavar="FILE",
        help="TIMED, its gender set, RoAD, UCE's or EMCID's lists of artists or professions, or a CSV of your own with the "
        "columns source, destination, related1, unrelated1 and so on",
    )  # fmt: skip
    group.add_argument("--text-only", action="store_true", help="from text alone: seconds, and no picture is drawn")
    group.add_argument(
        "--judge", metavar="FOLDER_OR_NAME",
        help="a CLIP or SigLIP model, an image classifier or a ViLT model; openai/clip-vit-large-patch14 if not given; "
        "“pocket” for the bundled model's",
    )  # fmt: skip
    group.add_argument("--destination", default="", metavar="TEXT", help="what listed artists become; “art” if not given")
    group.add_argument("--guidance", type=float, metavar="X", help="of the sampler (7.5; 3 for the bundled model)")
    group.add_argument(
        "--dtype", choices=("float32", "bfloat16", "float16"), default="float32", help="numbers of the model (%(default)s)"
    )
    group.add_argument("--at-once", type=int, default=8, metavar="N", help="pictures in a batch (%(default)s)")
    group.add_argument("--noise-seed", type=int, default=0, metavar="N", help="EMCID's, for the mode full")
    group.add_argument("--keep-pictures", action="store_true", help="keep all pictures, not contact sheets alone")
    group.add_argument(
        "--lpips", action="store_true",
        help="how far each method moves every prompt's pictures (LPIPS), as UCE measures artists; keeps all pictures",
    )  # fmt: skip
    group.add_argument(
        "--reference", type=Path, metavar="FOLDER",
        help="your own pictures with a metadata.csv (file_name, text): FID, CLIP score and LPIPS of each method beside them",
    )  # fmt: skip
    add_concept_settings(group, families="SD 1.x, SD 2.x, SDXL, PixArt, SD3 or Flux")
