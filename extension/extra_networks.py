"""``<edit:name:0.8>`` in a prompt, and the cards of saved edits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from modules import extra_networks, shared, ui_extra_networks
from modules.ui_extra_networks import quote_js

from ..editing.errors import EditError
from ..editing.prompt_edits import read_mark
from ..editing.tensor_file import open_tensors
from . import edit_folder
from .remarks import say_not_done
from .script import ASKED


class PromptEdits(extra_networks.ExtraNetwork):
    """Hands the prompt's edits to the generation; the script puts them on."""

    def __init__(self) -> None:
        super().__init__("edit")

    def activate(self, p: Any, params_list: list[Any]) -> None:
        """Called for every batch and again for hires fix, also where the prompt names none."""
        asked = getattr(p, ASKED, None)
        if asked is None:
            return
        known = {name.lower(): name for name in edit_folder.names()}
        wanted, unknown, unclear = {}, [], []
        for params in params_list:
            try:
                edit = read_mark(params.positional)
                wanted[known[edit.name.lower()]] = edit.strength
            except KeyError:
                unknown.append(edit.name)
            except EditError as error:
                unclear.append(str(error))
        asked.named, asked.unknown = wanted, unknown
        for sentence in unclear:
            say_not_done(p, sentence)
        with suppress(EditError):  # which the sampler raises, too
            for sentence in asked.not_done():
                say_not_done(p, sentence)

    def deactivate(self, p: Any) -> None:
        """The edits are off already: they are on while the sampler draws."""


class EditsPage(ui_extra_networks.ExtraNetworksPage):
    """A card for each saved edit."""

    def __init__(self) -> None:
        super().__init__("Edits")
        self.allow_negative_prompt = False

    def refresh(self) -> None:
        """The folder is read whenever cards are listed."""

    def create_item(self, name: str, index: int | None = None, enable_filter: bool = True) -> dict[str, Any] | None:
        """What a card shows, None where the edit is gone."""
        path = edit_folder.path_of(name)
        if not path.is_file():
            return None
        stem = str(path.with_suffix(""))
        try:
            with open_tensors(path) as file:
                metadata, lines = file.metadata(), file.metadata().get("recipe_text", "")
        except (OSError, ValueError):
            metadata, lines = {}, "This file is damaged or cannot be read; save the edit again."
        return {
            "name": name,
            "filename": str(path),
            "shorthash": edit_folder.short_hash(name),
            "preview": self.find_preview(stem) or self.find_embedded_preview(stem, name, metadata),
            "description": self.find_description(stem) or lines,
            "search_terms": [name, lines],
            "metadata": metadata,
            "prompt": quote_js(f"<edit:{name}:") + " + opts.extra_networks_default_multiplier + " + quote_js(">"),
            "local_preview": f"{stem}.{shared.opts.samples_format}",
            "sort_keys": {"default": index, **self.get_sort_keys(str(path))},
        }

    def list_items(self) -> Iterator[dict[str, Any]]:
        """All cards."""
        for index, name in enumerate(edit_folder.names()):
            if item := self.create_item(name, index):
                yield item

    def allowed_directories_for_previews(self) -> list[str]:
        """The folder of edits."""
        return [str(edit_folder.folder())]
