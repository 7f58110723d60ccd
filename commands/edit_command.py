"""``edit-assumption edit``: a recipe to an edit file, a LoRA, or an edited copy of a checkpoint."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .answers import add_json, answer
from .recipe_arguments import add_model, add_recipe, recipe_of

PRECISIONS = ("float32", "float16", "bfloat16")


def add_edit(commands: Any) -> None:
    """The command's arguments."""
    parser = commands.add_parser(
        "edit", help="make an edit: an edit file, a LoRA, an edited copy of a checkpoint",
        epilog='example: edit-assumption edit "a cat -> a black cat" --model sd15.safetensors --out cats.safetensors',
    )  # fmt: skip
    add_recipe(parser)
    add_model(parser)
    parser.add_argument("--strength", type=float, default=1.0, help="from -2 to 2")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where the edit file goes")
    parser.add_argument("--lora", type=Path, metavar="FILE", help="where the same edit goes as a LoRA")
    parser.add_argument("--tolerance", type=float, default=0.0, help="of the LoRA: 0 is exact, 0.01 is within 1 %%")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="of the LoRA (%(default)s)")
    parser.add_argument("--checkpoint-out", type=Path, metavar="FILE", help="where an edited copy of the checkpoint goes")
    add_json(parser)


def run_edit(options: argparse.Namespace) -> str:
    """Solve and write.

    Raises:
        EditError: nothing is to be written, or something that was asked cannot be done.
    """
    import torch

    from ..editing.any_lora import any_lora, write_any_lora
    from ..editing.assumptions.prompt_pair import check_strength
    from ..editing.edit_file import save_edit
    from ..editing.errors import EditError
    from ..editing.whole_file import save_somewhere
    from .apply_command import copied
    from .model_files import Model, check_output

    strength, recipe = check_strength(options.strength), recipe_of(options)
    outputs = {"edit": options.out, "LoRA": options.lora, "checkpoint": options.checkpoint_out}
    if not any(outputs.values()):
        raise EditError("Nothing is to be written; give --out, --lora or --checkpoint-out a file name.")
    if len({path.resolve() for path in outputs.values() if path}) < sum(path is not None for path in outputs.values()):
        raise EditError("Two of --out, --lora and --checkpoint-out name one file; give them different names.")
    for path in outputs.values():
        check_output(path)
    model = Model(options.model, options.config)
    if options.checkpoint_out and not model.checkpoint:
        raise EditError("--checkpoint-out needs a checkpoint file; give --model one, or leave it out.")
    edit = model.solve(recipe).restated(strength)
    report = model.report(edit)
    if options.out:
        save_somewhere(lambda path: save_edit(edit, path), options.out, "The edit", report)
    if options.lora:
        lora = any_lora(edit, lambda: model.inputs, options.tolerance, getattr(torch, options.precision))
        save_somewhere(lambda path: write_any_lora(path, edit, *lora), options.lora, "The LoRA", report)
    if options.checkpoint_out and model.checkpoint:
        copied(model.checkpoint, edit, options.checkpoint_out)
    files = {name: str(path) for name, path in outputs.items() if path}
    text = "\n".join([report, *(f"{name}: {path}" for name, path in files.items())])
    return answer(options, text, {"recipe": edit.recipe.to_text(), "report": report, "files": files})
