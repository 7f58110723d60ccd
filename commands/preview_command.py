"""``edit-assumption preview``: what an edit does to prompts, in words and as a picture, before anything is drawn."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .answers import add_json, answer
from .recipe_arguments import add_model, add_recipe, recipe_of


def add_preview(commands: Any) -> None:
    """The command's arguments."""
    parser = commands.add_parser(
        "preview", help="what an edit does to prompts, without drawing",
        epilog='example: edit-assumption preview "a cat -> a black cat" --related "a cat at night" --out cat.png',
    )  # fmt: skip
    add_recipe(parser)
    add_model(parser)
    parser.add_argument("--edit", type=Path, metavar="EDIT_FILE", help="an edit file in place of a recipe")
    parser.add_argument("--related", action="append", default=[], metavar="PROMPT", help="ought to follow; may be repeated")
    parser.add_argument("--unrelated", action="append", default=[], metavar="PROMPT", help="ought to stay; may be repeated")
    parser.add_argument("--out", type=Path, metavar="PICTURE", help="where a chart goes, if given")
    add_json(parser)


def run_preview(options: argparse.Namespace) -> str:
    """Solve or load, and look. Raises :class:`EditError` where the edit is for another text encoder, or cannot be solved."""
    from ..editing.assumptions.edit_preview import preview
    from ..editing.concepts.concept_edit import ConceptEdit
    from ..editing.concepts.concept_preview import preview_concepts
    from ..editing.errors import EditError
    from ..editing.whole_file import save_somewhere
    from ..pictures.preview_chart import preview_picture
    from ..pictures.save import check_picture, save_picture
    from ..pipelines.pipeline_concepts import text_encoders
    from ..pipelines.text_encoding import encoder_of
    from .model_files import Model, edit_file

    if options.edit and options.lines:
        raise EditError("There is a recipe and an edit file; give one of them.")
    if options.out:
        check_picture(options.out)
    model = Model(options.model, options.config)
    edit = edit_file(options.edit) if options.edit else model.solve(recipe_of(options))
    pipe = model.pipeline(False)
    if isinstance(edit, ConceptEdit):
        shown = preview_concepts(edit, text_encoders(pipe), options.related, options.unrelated)
    else:
        shown = preview(edit, encoder_of(pipe), options.related, options.unrelated)
    text = shown.text()
    if options.out:
        save_somewhere(lambda path: save_picture(preview_picture(shown), path, 110), options.out, "The chart", text)
        text += f"\npicture: {options.out}"
    reaches = {"sources": shown.sources, "related": shown.related, "unrelated": shown.unrelated}
    return answer(options, text, {"recipe": edit.recipe.to_text(), **reaches, "leaking": shown.leaking})
