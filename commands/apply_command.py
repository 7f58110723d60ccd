"""``edit-assumption apply``: an edit file put on a checkpoint, as an edited copy."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .answers import add_json, answer

if TYPE_CHECKING:
    from ..editing.any_edit import AnyEdit
    from .checkpoint import Checkpoint


def add_apply(commands: Any) -> None:
    """The command's arguments."""
    parser = commands.add_parser(
        "apply", help="write an edited copy of a checkpoint",
        epilog="example: edit-assumption apply roses.safetensors --model sd15.safetensors --out sd15-roses.safetensors",
    )  # fmt: skip
    parser.add_argument("edit", type=Path, metavar="EDIT_FILE", help="from edit, ComfyUI, A1111 or Python")
    parser.add_argument("--model", type=Path, required=True, metavar="CHECKPOINT", help="it is not changed")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="where the copy goes")
    parser.add_argument("--strength", type=float, default=1.0, help="from -2 to 2")
    add_json(parser)


def run_apply(options: argparse.Namespace) -> str:
    """Write the copy. Raises :class:`EditError` where the edit is for another model, or a file is something else."""
    from ..editing.assumptions.prompt_pair import check_strength
    from ..editing.errors import EditError
    from .checkpoint import Checkpoint, summary
    from .model_files import check_output, edit_file

    strength = check_strength(options.strength)
    if strength == 0:
        raise EditError("At strength 0 the copy would be the checkpoint itself; give another strength.")
    check_output(options.out)
    edit = edit_file(options.edit).restated(strength)
    checkpoint = Checkpoint(options.model)
    changed = copied(checkpoint, edit, options.out)
    text = f"{summary(edit)}\n{changed} of {len(checkpoint.names)} weights changed\ncheckpoint: {options.out}"
    counts = {"changed": changed, "of": len(checkpoint.names)}
    facts = {"recipe": edit.recipe.to_text(), **counts, "files": {"checkpoint": str(options.out)}}
    return answer(options, text, facts)


def copied(checkpoint: Checkpoint, edit: AnyEdit, out: Path) -> int:
    """Write an edited copy, with progress; how many weights were changed.

    Raises:
        EditError: as :meth:`~.checkpoint.Checkpoint.write_edited`, or it cannot be written.
    """
    from tqdm import tqdm

    from ..editing.errors import EditError
    from ..editing.whole_file import why

    try:
        with tqdm(desc="writing", unit="tensor", total=len(checkpoint.names)) as bar:
            return checkpoint.write_edited(edit, out, bar.update)
    except OSError as error:
        raise EditError(f"“{out}” cannot be written: {why(error)}; give another place.") from error
