"""What the tab's buttons do: each gives a sentence for the status, and what stands elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import gradio as gr
import torch
from modules import errors
from PIL import Image

from ..editing.assumptions.recipe import Recipe
from ..editing.errors import EditError
from ..editing.lines import prompt_lines
from . import edit_folder, recipe_actions
from .page_sentences import paragraph, refusal
from .panel import DEFAULTS, chosen_name, recipe_of, saved_list, values_of
from .queue_turns import Stopped, job
from .script import PANELS


def told(handler: Callable[..., tuple[Any, ...]], others: int) -> Callable[..., tuple[Any, ...]]:
    """The handler; what is wrong becomes a sentence in the status.

    Args:
        handler: gives a sentence, and the values of ``others`` components.
        others: left as they are when something is wrong.
    """

    @wraps(handler)
    def answer(*values: Any) -> tuple[Any, ...]:
        try:
            sentence, *rest = handler(*values)
            return paragraph(sentence) if sentence else "", *rest
        except (EditError, Stopped) as error:
            wrong = str(error)
        except Exception as error:  # Gradio would put "Error" over every output, and keep the sentence to itself
            errors.report("Edit Assumption's tab failed", exc_info=True)
            wrong = f"This did not work: {error}. The console has more."
        return refusal(wrong), *[gr.update() for _ in range(others)]

    return answer


def in_turn(handler: Callable[..., tuple[Any, ...]], others: int) -> Callable[..., tuple[Any, ...]]:
    """As :func:`told`, after what is being drawn, and with the WebUI's progress bar.

    Args:
        handler: its first value is whether the page is dark.
        others: as for :func:`told`.
    """

    def turn(task: str, *values: Any) -> tuple[Any, ...]:
        with job(task):
            return handler(*values)

    return told(turn, others)


def _read(values: tuple[Any, ...]) -> tuple[Recipe, tuple[Any, ...]]:
    count = len(DEFAULTS)
    return recipe_of(dict(zip(DEFAULTS, values[:count], strict=True))), values[count:]


def look_at(dark: bool, *values: Any) -> tuple[Any, ...]:
    """The alignment and the reach, as a chart and in numbers."""
    from ..pictures.preview_chart import preview_picture

    recipe, (related, unrelated) = _read(values)
    shown = recipe_actions.look(recipe, prompt_lines(related, "related prompts"), prompt_lines(unrelated, "unrelated prompts"))
    return "What the edit will do, from text alone.", _picture(preview_picture(shown), dark), shown.text()


def draw_both(dark: bool, *values: Any) -> tuple[Any, ...]:
    """Before and after as a grid, the report, and what a cover is made of."""
    from ..pictures.grid import Row, before_after_grid

    recipe, (related, unrelated, *sampling) = _read(values)
    recipe.check_active()
    groups = {
        "source": list(recipe.sources),
        "related": prompt_lines(related, "related prompts"),
        "unrelated": prompt_lines(unrelated, "unrelated prompts"),
    }
    prompts = {prompt: group for group, members in groups.items() for prompt in members}
    settings = _sampling(sampling)
    count = settings.pop("count")
    before, after = recipe_actions.draw_pair(recipe, list(prompts), count, **settings)
    both = [_pixels(images).split(count) for images in (before, after)]
    rows = [Row(prompt, group, *parts) for (prompt, group), *parts in zip(prompts.items(), *both, strict=True)]
    inputs, edit = recipe_actions.solved(recipe)
    return (
        "Before and after, from the same seeds.",
        _picture(before_after_grid(rows, range(count), "", ""), dark),
        inputs.report(edit),
        (recipe, after[0]),
    )


def _sampling(values: Sequence[Any]) -> dict[str, Any]:
    """What the tab's inputs for sampling hold, as ``recipe_actions.draw_pair`` takes it."""
    if any(value is None for value in values):
        raise EditError("A field under “Sampling” is empty; give it a value.")
    seed, count, steps, width, height, cfg, sampler = values
    return {
        "seed": seed, "count": int(count), "steps": int(steps), "width": int(width), "height": int(height), "cfg_scale": cfg,
        "sampler_name": sampler,
    }  # fmt: skip


def save_recipe(_: bool, *values: Any) -> tuple[Any, ...]:
    """An edit file, with a cover where the picture is of this very recipe."""
    recipe, (name, overwrite, cover) = _read(values)
    drawn, picture = cover or (None, None)
    path = recipe_actions.save(recipe, name, overwrite, picture if drawn == recipe else None)
    return f"Saved. Write <edit:{path.stem}:1> in a prompt to use it.", *saved_lists(path.stem)


def export_recipe(_: bool, *values: Any) -> tuple[Any, ...]:
    """A LoRA."""
    recipe, (name, overwrite) = _read(values)
    path = recipe_actions.export(recipe, name, overwrite)
    return (f"Exported. Write <lora:{path.stem}:1> in a prompt to use it.",)


def parameters(*values: Any) -> tuple[Any, ...]:
    """What txt2img pastes."""
    recipe, sampling = _read(values)
    recipe.check_active()
    settings = _sampling(sampling)
    return "", recipe_actions.infotext(recipe, recipe.sources[0], **settings)


def load_saved(name: str | None) -> tuple[Any, ...]:
    """A saved edit into the inputs, and its name."""
    return f"Loaded “{name}”.", *[gr.update(value=value) for value in values_of(name)], gr.update(value=name)


def ask(name: str | None) -> tuple[Any, ...]:
    """Show the question before something is deleted."""
    return "", gr.update(visible=True), paragraph(f"Delete the edit “{chosen_name(name)}” for good?")


def delete_saved(name: str | None) -> tuple[Any, ...]:
    """Remove a file, hide the question."""
    edit_folder.delete(chosen_name(name))
    return f"Deleted “{name}”.", gr.update(visible=False), *saved_lists()


def saved_lists(chosen: str | None = None) -> list[Any]:
    """Of the tab, where what was saved is chosen, and of the panels."""
    return [saved_list(chosen), *(saved_list() for _ in PANELS)]


def _picture(figure: Any, dark: bool) -> Image.Image:
    from ..pictures.style import darken, pixels

    if dark:
        darken(figure)
    return Image.fromarray(pixels(figure).mul(255).round().to(torch.uint8).numpy())


def _pixels(images: list[Image.Image]) -> torch.Tensor:
    """(n, 3, height, width) from -1 to 1."""
    from torchvision.transforms.functional import pil_to_tensor

    return torch.stack([pil_to_tensor(image.convert("RGB")) for image in images]).float() / 127.5 - 1
