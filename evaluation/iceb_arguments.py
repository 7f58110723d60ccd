"""What the command ``iceb`` can be told. Imports nothing heavy."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..pipelines.concept_arguments import add_concept_settings


def add_iceb(commands: argparse._SubParsersAction) -> None:
    """The command ``iceb``."""
    parser = commands.add_parser(
        "iceb", help="ICEB's protocols of many concepts edited together, on a pipeline of your own",
        epilog="example: edit-assumption iceb --csv arbitrary_train.csv --classifier FOLDER --model FOLDER --counts 1 50",
    )  # fmt: skip
    parser.add_argument("--csv", type=Path, required=True, metavar="FILE", help="ICEB's arbitrary_train or rectification_train")
    parser.add_argument("--val", type=Path, metavar="FILE", help="ICEB's arbitrary_val or rectification_val: other sentences")
    parser.add_argument(
        "--holdout", type=Path, metavar="FILE",
        help="ICEB's imgnet_aug_test.json, or a CSV of prompts; destinations that are not edited if not given",
    )  # fmt: skip
    parser.add_argument(
        "--classifier", required=True, metavar="FOLDER_OR_NAME", help="of transformers, such as google/vit-base-patch16-224"
    )
    add_concept_settings(parser, pocket=False)
    parser.add_argument(
        "--counts", type=int, nargs="+", default=[], metavar="N", help="concepts edited together; 1 10 50 100 300 if not given"
    )
    parser.add_argument(
        "--method",
        action="append",
        default=[],
        metavar="NAME",
        help="EMCID, TIME, UCE or K/V; may be repeated; all if not given",
    )
    parser.add_argument(
        "--measured", type=int, metavar="N",
        help="draw the first N concepts at every count, in as many groups as they need; all of one group if not given",
    )  # fmt: skip
    parser.add_argument("--steps", type=int, default=50, help="of the sampler")
    parser.add_argument("--guidance", type=float, default=7.5, help="of the sampler")
    parser.add_argument("--at-once", type=int, default=8, metavar="N", help="pictures in a batch")
    parser.add_argument("--seed", type=int, default=0, help="of noise, for the mode full")
    parser.add_argument("--out", type=Path, default=Path("edit-assumption-iceb"), help="the folder for the results")
