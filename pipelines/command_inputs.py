"""What a command on concepts was told, read: the pipeline, the recipe, the captions, the user's pictures."""

from __future__ import annotations

import argparse
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline
from PIL import Image

from ..editing import ordinary_captions as any_captions
from ..editing.concepts.concept_lines import TEMPLATES, Concept
from ..editing.concepts.concept_recipe import DEFAULT_REGULARIZATION, ConceptRecipe, parse_concept_recipe
from ..editing.errors import EditError
from ..editing.lines import has_arrow, phrase_lines, prompt_lines, tidy
from ..editing.text_file import read_text
from ..editing.whole_file import why
from ..pocket import WEIGHTS
from ..pocket import captions as pocket_captions
from .demo import check_words
from .supported import check_index

_VARIANTS = (None, "fp16", "bf16")
"""Which weights are looked for on the hub, in turn."""
_WEIGHTS = re.compile(r"(?:\.(?P<variant>\w+))?(?:-\d+-of-\d+)?\.(?:safetensors|bin)$")
"""A file of weights, such as ``model.fp16.safetensors``."""
POCKET_TEMPLATES = ("a {}", "a photo of a {}", "an image of a {}", "{}")


def load_pipeline(
    name: str | None,
    whole: bool,
    device: torch.device,
    check: Callable[[Mapping[str, Any]], None] = check_index,
    dtype: torch.dtype = torch.float32,
) -> Any:
    """A diffusers pipeline.

    Args:
        name: its folder, or its name on the hub; None for the pocket model.
        whole: with the diffusion model; else the text encoders alone, and a transformer, whose class says how it reads them.
        device: where it goes.
        check: refuses families by their ``model_index.json``.
        dtype: of its numbers.

    Raises:
        EditError: there is none, it is of a family that is not known, or its weights cannot be loaded.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # diffusers asks the hub in a way that the hub's library finds old
            parts = DiffusionPipeline.load_config(name or WEIGHTS)
    except (OSError, ValueError) as error:
        raise EditError(
            f"“{name}” cannot be loaded ({_first_line(error)}); give the folder of a diffusers pipeline, which has a "
            "model_index.json, or its name on the Hugging Face Hub."
        ) from error
    check(parts)
    left_out = {"safety_checker"} | (set() if whole else {"unet", "vae"})
    pipe = _load_weights(name or WEIGHTS, dict.fromkeys(left_out & set(parts)))
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(device, dtype)


def _load_weights(name: str | Path, left_out: dict[str, None]) -> Any:
    """The pipeline, by whichever weight files there are. Raises :class:`EditError` where none are complete."""
    folder, problems = Path(name), []
    for variant in [_variant(folder)] if folder.is_dir() else _VARIANTS:
        try:
            return DiffusionPipeline.from_pretrained(name, variant=variant, **left_out)
        except (OSError, ValueError) as error:
            problems.append(error)
    raise EditError(
        f"The weights of “{name}” cannot be loaded ({_first_line(problems[0])}); "
        "download the pipeline again, with all of its files."
    ) from problems[0]


def _variant(folder: Path) -> str | None:
    """The variant that some part's weights are there in alone; diffusers takes it only where it is told so."""
    for part in sorted(path for path in folder.iterdir() if path.is_dir()):
        variants = {match["variant"] for path in part.iterdir() if (match := _WEIGHTS.search(path.name))}
        if variants and None not in variants:
            return min(variants)
    return None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def list_file(path: Path, what: str, read: Callable[[str, str], list[str]] = prompt_lines) -> tuple[str, ...]:
    """The lines of a text file.

    Args:
        path: of the file.
        what: is listed in it, in the plural.
        read: of :mod:`..editing.lines`, for lines of this kind.

    Raises:
        EditError: it cannot be read, a line is not understood, or there is none.
    """
    lines = read(read_text(path, what), f"“{path}”")
    if not lines:
        raise EditError(f"“{path}” is empty; write the {what} into it, one a line.")
    return tuple(lines)


def concept_text(given: Sequence[str]) -> str:
    """Texts and files of concepts as one text. Raises :class:`EditError` where a file cannot be read."""
    return "\n".join(map(_concept_text, given))


def _concept_text(entry: str) -> str:
    if "\n" in entry or len(entry) > 255:
        return entry
    try:
        path = Path(entry).expanduser()
    except RuntimeError:  # no home folder of that name
        path = Path(entry)
    is_text = has_arrow(entry) or entry.startswith("!") or "~" in entry.removeprefix("~")  # one in front is a home folder
    return entry if is_text and not path.is_file() else read_text(path, "concepts")


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
        return ConceptRecipe(tuple(concepts), **self._fields())

    def recipe_of_text(self, text: str) -> ConceptRecipe:
        """The recipe that lines ask for; settings among them go before these. Raises :class:`EditError`."""
        return parse_concept_recipe(text, **self._fields())

    def _fields(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "captions"}


def settings_of(options: argparse.Namespace, templates: Sequence[str] = ()) -> Settings:
    """From the options of :func:`~.concept_arguments.add_concept_settings`; what is not given suits the model.

    Args:
        options: as given.
        templates: where none are given; empty for the model's.
    """
    pocket = options.model is None
    captions = (pocket_captions if pocket else any_captions).ordinary_captions()
    usual = POCKET_TEMPLATES if pocket else TEMPLATES
    return Settings(
        captions=list_file(options.captions, "captions") if options.captions else captions,
        templates=tuple(
            list_file(options.templates, "templates", phrase_lines) if options.templates else templates or usual
        ),
        regularization=DEFAULT_REGULARIZATION if options.regularization is None else options.regularization,
        layers=tuple(options.layers),
        mode=options.mode,
    )  # fmt: skip


def check_pocket_words(recipe: ConceptRecipe) -> None:
    """Raise :class:`EditError` for a word that the pocket model does not know."""
    check_words([text for concept in recipe.searched for pair in concept.sentences(recipe.templates) for text in pair])


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
    sources = {concept.source.lower(): concept.source for concept in concepts if not concept.variants}
    known = {}
    for own in _inside(folder, Path.is_dir):
        source = sources.get(tidy(own.name).lower())
        if source is None:
            raise EditError(f"The folder “{own}” is of no concept; name it after what stands before an arrow.")
        pictures = [
            _picture(path, side) for path in _inside(own, lambda path: path.suffix.lower() in Image.registered_extensions())
        ]
        if not pictures:
            raise EditError(f"There is no picture in “{own}”.")
        known[source] = torch.stack(pictures)
    if not known:
        raise EditError(f"There is no folder in “{folder}”; make one for each source, with its pictures.")
    return known


def _inside(folder: Path, wanted: Callable[[Path], bool]) -> list[Path]:
    try:
        return sorted(filter(wanted, folder.iterdir()))
    except (FileNotFoundError, NotADirectoryError):
        raise EditError(f"There is no folder “{folder}”; make it, with a folder of pictures for each source in it.") from None
    except OSError as error:
        raise EditError(f"The folder “{folder}” cannot be read: {why(error)}.") from error


def read_picture(path: Path) -> Image.Image:
    """A picture of the user's in RGB. Raises :class:`EditError` where it cannot be read."""
    try:
        with Image.open(path) as file:
            return file.convert("RGB")
    except OSError as error:
        reason = f" ({why(error)})" if error.errno else ""
        raise EditError(f"The picture “{path}” cannot be read{reason}; take it out of the folder.") from error


def _picture(path: Path, side: int) -> torch.Tensor:
    image = read_picture(path)
    short = min(image.size)
    left, top = ((length - short) // 2 for length in image.size)
    image = image.crop((left, top, left + short, top + short)).resize((side, side), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(image, dtype=np.float32)).permute(2, 0, 1) / 127.5 - 1
