"""What commands on concepts can be told. Imports nothing heavy, so that ``--help`` answers at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..editing.concepts.concept_recipe import DEFAULT_REGULARIZATION, MODES
from .cache_folder import user_cache


def add_concepts(commands: Any) -> None:
    """The command ``concepts``."""
    parser = commands.add_parser(
        "concepts", help="edit many concepts at once, in the text encoder (EMCID)",
        epilog='example: edit-assumption concepts --lines "rose -> tulip" --mode text --out edit.safetensors',
    )  # fmt: skip
    parser.add_argument(
        "--lines", action="append", required=True, metavar="FILE_OR_TEXT",
        help="concepts, one a line, such as: “tench -> goldfish”, “Van Gogh ->”, “white shark ~ man-eater”, “doctor -> female "
        "doctor | male doctor”, “zopin -> [pictures]”, “nudity -> [everywhere]”, and settings, such as: “! mode: full”, which "
        "go before the options; may be repeated",
    )  # fmt: skip
    add_concept_settings(parser)
    parser.add_argument(
        "--pictures", type=Path, metavar="FOLDER",
        help="for the mode full: your own pictures, in a folder for each source, named as it is; of its destination, or of "
        "what it is to mean where its line ends in [pictures]",
    )  # fmt: skip
    parser.add_argument(
        "--balance", type=int, default=0, metavar="ROUNDS",
        help="so many rounds of pictures at most, by which debiased lines come to the shares that they ask for",
    )  # fmt: skip
    parser.add_argument(
        "--judge", metavar="FOLDER_OR_NAME",
        help="for --balance: a CLIP or SigLIP model, such as openai/clip-vit-large-patch14; the pocket model brings its own",
    )  # fmt: skip
    parser.add_argument(
        "--balance-pictures", type=int, default=16, metavar="N", help="of each debiased name in a round (%(default)s)"
    )
    parser.add_argument("--steps", type=int, metavar="N", help="of the sampler in these rounds, if not the usual")
    parser.add_argument("--guidance", type=float, metavar="X", help="of the sampler in these rounds, if not the usual")
    parser.add_argument("--seed", type=int, default=0, help="of noise and pictures that the diffusion model is asked with")
    parser.add_argument("--out", type=Path, default=Path("edit.safetensors"), metavar="FILE", help="where the edit goes")
    parser.add_argument("--lora", type=Path, metavar="FILE", help="where the same edit goes as a LoRA, if given")


def add_concept_settings(parser: Any, pocket: bool = True, families: str = "SD 1.x, SD 2.x or SDXL") -> None:
    """What decides a concept edit beside the concepts themselves.

    Args:
        parser: a parser, or a group of one.
        pocket: whether the model may be left out.
        families: which models there may be.
    """
    known = f"a diffusers pipeline: {families}" + ("; the pocket model if not given" if pocket else "")
    parser.add_argument("--model", metavar="FOLDER_OR_NAME", required=not pocket, help=known)
    parser.add_argument("--captions", type=Path, metavar="FILE", help="ordinary captions, one a line, that are to stay")
    parser.add_argument(
        "--mode", choices=MODES, default=MODES[0],
        help="what decides: the diffusion model's cross-attention layers, the text encoder alone, or the whole diffusion model "
        "(%(default)s)",
    )  # fmt: skip
    parser.add_argument("--layers", type=int, nargs="+", default=[], metavar="N", help="of the text encoder, from 0")
    parser.add_argument("--regularization", type=float, metavar="X", help=f"{DEFAULT_REGULARIZATION:g} if not given")
    parser.add_argument("--templates", type=Path, metavar="FILE", help="sentences, one a line, with {} for the concept")
    parser.add_argument(
        "--cache", type=Path, default=user_cache(), metavar="FOLDER", help="where what was found is kept (%(default)s)"
    )
