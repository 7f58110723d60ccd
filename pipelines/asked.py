"""What a command on concepts was told, read: the pipeline, the recipe, the captions, the user's pictures."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline
from PIL import Image

from ..editing import captions as any_captions
from ..editing.concepts.concepts import TEMPLATES, Concept, parse_concepts
from ..editing.concepts.recipe import DEFAULT_REGULARIZATION, ConceptRecipe
from ..editing.errors import EditError
from ..editing.recipe import tidy
from ..pocket import WEIGHTS
from ..pocket import captions as pocket_captions
from .demo import check_words

POCKET_TEMPLATES = ("a {}", "a photo of a {}", "an image of a {}", "{}")


def load_pipeline(name: str | None, whole: bool, device: torch.device) -> Any:
    """A diffusers pipeline in float32.

    Args:
        name: its folder, or its name on the hub; None for the pocket model.
        whole: with the diffusion model; else the text encoders alone.
        device: where it goes.

    Raises:
        EditError: there is none.
    """
    left_out = {} if whole else {"unet": None, "vae": None}
    try:
        pipe = DiffusionPipeline.from_pretrained(name or WEIGHTS, safety_checker=None, **left_out)
    except (OSError, ValueError) as error:
        raise EditError(
            f"“{name}” cannot be loaded ({_first_line(error)}); give the folder of a diffusers pipeline, which has a "
            "model_index.json, or its name on the Hugging Face Hub."
        ) from error
    if not hasattr(pipe, "text_encoder"):
        raise EditError(f"“{name}” is no pipeline with a text encoder; give one of SD 1.x, SD 2.x or SDXL.")
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(device, torch.float32)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def read_lines(path: Path, what: str) -> list[str]:
    """A text file's lines that are not empty. Raises :class:`EditError` where there is no such file, or none in it."""
    try:
        lines = [line for line in map(tidy, path.read_text(encoding="utf-8").splitlines()) if line]
    except (OSError, UnicodeDecodeError) as error:
        raise EditError(f"The {what} cannot be read from “{path}”: give a text file ({_first_line(error)}).") from error
    if not lines:
        raise EditError(f"“{path}” is empty; write the {what} into it, one a line.")
    return lines


def concepts_of(given: Sequence[str]) -> tuple[Concept, ...]:
    """Concepts from texts and files of lines."""
    texts = []
    for entry in given:
        if "->" not in entry and "~" not in entry.removeprefix("~"):  # one in front is a home folder
            texts += read_lines(Path(entry).expanduser(), "concepts")
        elif "\n" not in entry and len(entry) < 256 and Path(entry).is_file():
            texts += read_lines(Path(entry), "concepts")
        else:
            texts.append(entry)
    return parse_concepts("\n".join(texts))


@dataclass(frozen=True)
class Settings:
    """What decides a concept edit beside the concepts.

    Args:
        captions: what is to stay.
        templates, regularization, layers, mode: of the recipe.
    """

    captions: tuple[str, ...]
    templates: tuple[str, ...]
    regularization: float
    layers: tuple[int, ...]
    mode: str

    def recipe(self, concepts: Sequence[Concept]) -> ConceptRecipe:
        """The recipe for some concepts."""
        return ConceptRecipe(tuple(concepts), self.regularization, self.templates, self.layers, self.mode)


def settings_of(options: argparse.Namespace, templates: Sequence[str] = ()) -> Settings:
    """From the options of :func:`~.arguments.add_concept_settings`; what is not given suits the model.

    Args:
        options: as given.
        templates: where none are given; empty for the model's.
    """
    pocket = options.model is None
    captions = (pocket_captions if pocket else any_captions).ordinary_captions()
    usual = POCKET_TEMPLATES if pocket else TEMPLATES
    return Settings(
        captions=tuple(read_lines(options.captions, "captions")) if options.captions else captions,
        templates=tuple(read_lines(options.templates, "templates") if options.templates else templates or usual),
        regularization=DEFAULT_REGULARIZATION if options.regularization is None else options.regularization,
        layers=tuple(options.layers),
        mode=options.mode,
    )  # fmt: skip


def check_pocket_words(recipe: ConceptRecipe) -> None:
    """Raise :class:`EditError` for a word that the pocket model does not know."""
    check_words([text for concept in recipe.concepts for pair in concept.sentences(recipe.templates) for text in pair])


def user_pictures(folder: Path, concepts: Sequence[Concept], side: int) -> dict[str, torch.Tensor]:
    """Pictures from a folder that has a folder for each source.

    Args:
        folder: where they are.
        concepts: what is asked; a folder is the one's whose source has its name, in whatever case.
        side: pixels; pictures are cut to squares around their middle.

    Returns:
        Source to (n, 3, side, side) from -1 to 1.

    Raises:
        EditError: a folder is of no concept, or has no pictures.
    """
    if not folder.is_dir():
        raise EditError(f"There is no folder “{folder}”; make it, with a folder of pictures for each source in it.")
    sources = {concept.source.lower(): concept.source for concept in concepts}
    found = {}
    for own in sorted(path for path in folder.iterdir() if path.is_dir()):
        source = sources.get(tidy(own.name).lower())
        if source is None:
            raise EditError(f"The folder “{own}” is of no concept; name it after what stands before an arrow.")
        pictures = [
            _picture(path, side) for path in sorted(own.iterdir()) if path.suffix.lower() in Image.registered_extensions()
        ]
        if not pictures:
            raise EditError(f"There is no picture in “{own}”.")
        found[source] = torch.stack(pictures)
    if not found:
        raise EditError(f"There is no folder in “{folder}”; make one for each source, with its pictures.")
    return found


def _picture(path: Path, side: int) -> torch.Tensor:
    try:
        image = Image.open(path).convert("RGB")
    except OSError as error:
        raise EditError(f"The picture “{path}” cannot be read; take it out of the folder.") from error
    short = min(image.size)
    left, top = ((length - short) // 2 for length in image.size)
    image = image.crop((left, top, left + short, top + short)).resize((side, side), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(image, dtype=np.float32)).permute(2, 0, 1) / 127.5 - 1
