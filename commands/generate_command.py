"""``edit-assumption generate``: pictures before and after an edit, side by side."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .recipe_arguments import add_model, add_recipe, recipe_of


def add_generate(commands: Any) -> None:
    """The command's arguments."""
    parser = commands.add_parser(
        "generate", help="pictures before and after an edit",
        epilog='example: edit-assumption generate "a cat -> a black cat" --prompt "a cat in the snow" --out cats.png',
    )  # fmt: skip
    add_recipe(parser)
    add_model(parser, checkpoint=False)
    parser.add_argument("--edit", type=Path, metavar="EDIT_FILE", help="an edit file in place of a recipe")
    parser.add_argument("--strength", type=float, default=1.0, help="from -2 to 2")
    parser.add_argument("--prompt", action="append", required=True, metavar="PROMPT", help="may be repeated: a row each")
    parser.add_argument("--seed", type=int, nargs="+", default=[0, 1, 2, 3], metavar="N", help="a column each (%(default)s)")
    parser.add_argument("--steps", type=int, metavar="N", help="of the sampler (25; 12 for the bundled model)")
    parser.add_argument("--guidance", type=float, metavar="X", help="of the sampler (7.5; 3 for the bundled model)")
    parser.add_argument("--out", type=Path, default=Path("before-after.png"), metavar="PICTURE", help="(%(default)s)")


def run_generate(options: argparse.Namespace) -> str:
    """Solve or load, and draw twice.

    Raises:
        EditError: something that was asked cannot be done.
    """
    from tqdm import tqdm

    from ..editing.errors import EditError
    from ..editing.whole_file import save_somewhere
    from ..pictures.grid import Row, before_after_grid
    from ..pictures.save import check_picture, save_picture
    from ..pipelines.draw import draw_pictures
    from ..pipelines.pipeline_edit import apply_edit, edit_pipeline
    from ..pocket.model import GUIDANCE, STEPS
    from .model_files import Model, edit_file

    if bool(options.edit) == bool(options.lines):
        raise EditError("Give a recipe, or an edit file with --edit.")
    check_picture(options.out)
    model = Model(options.model)
    if model.checkpoint:
        raise EditError("Pictures are drawn with a diffusers folder; convert the checkpoint, or draw in ComfyUI.")
    pipe = model.pipeline()
    if options.edit:
        put_on = apply_edit(pipe, edit_file(options.edit), strength=options.strength)
    else:
        put_on = edit_pipeline(pipe, recipe_of(options), strength=options.strength)
    usual = (25, 7.5) if options.model else (STEPS, GUIDANCE)
    sampling = options.steps or usual[0], usual[1] if options.guidance is None else options.guidance
    rows: list[Row] = []
    drawn: list[str] = []
    with tqdm(desc="drawing", unit="picture", total=2 * len(options.prompt) * len(options.seed)) as bar:
        for prompt in options.prompt:
            pictures = []
            for switch in (put_on.off, put_on.on):
                switch()
                pictures.append(draw_pictures(pipe, [prompt] * len(options.seed), options.seed, *sampling))
                bar.update(len(options.seed))
            rows.append(Row(prompt, "", *pictures))
            drawn += [f"{prompt}, seed {seed}: {own}" for seed, own in zip(options.seed, put_on.drawn, strict=False)]
    title = next(line for line in put_on.edit.recipe.to_text().splitlines() if not line.startswith("!"))
    figure = before_after_grid(rows, options.seed, title, f"strength {options.strength:g}, the same seeds in both")
    save_somewhere(lambda path: save_picture(figure, path, 110), options.out, "The picture", put_on.report)
    return "\n".join([put_on.report, *drawn, f"picture: {options.out}"])
