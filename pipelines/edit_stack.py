"""The edits that a diffusers pipeline carries, in their order: solved together where they can be, and put on by hooks."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, cast

from ..editing.any_edit import AnyEdit
from ..editing.assumptions.edit import Edit
from ..editing.assumptions.recipe import Recipe
from ..editing.encoder_identity import ASKED_AGAIN, EncoderIdentity
from ..editing.encoding import Encode, EncodedPrompt
from ..editing.errors import EditError
from ..editing.projections import POOLED
from .drawn_text import DrawnText, started_pictures
from .mapped_projections import mapped_projections
from .mapped_text import TextMaps, mapped_text
from .module_view import own_view
from .pipeline_concepts import edited_text
from .recipe_solver import solve_recipe
from .text_encoding import encoder_of
from .text_models import components, text_inputs, text_model

_ATTRIBUTE = "_edit_assumption_edits"
_NOT_DRAWN = "In diffusers' {} pipelines nothing can be drawn by chance yet; write one destination in place of the variants."


@dataclass(eq=False)
class Carried:
    """An edit on a pipeline.

    Args:
        edit: as it was made, at strength 1.
        recipe: what it is solved again by, together with others; None for one that is put on as it was made.
        strength: what it is scaled by.
        on: whether it acts.
    """

    edit: AnyEdit
    recipe: Recipe | None = None
    strength: float = 1.0
    on: bool = True


@dataclass(frozen=True)
class Acting:
    """What is put on: an edit, and those that it was solved for."""

    edit: AnyEdit
    members: tuple[Carried, ...]


@dataclass
class EditStack:
    """All edits of one pipeline. :meth:`of` gives it."""

    _pipe: weakref.ref[Any]
    entries: list[Carried] = field(default_factory=list)
    _acting: Sequence[Acting] = ()
    _hooks: ExitStack = field(default_factory=ExitStack)
    _encoded: dict[str, EncodedPrompt] = field(default_factory=dict)
    _drawn: dict[int, DrawnText] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @classmethod
    def of(cls, pipe: Any) -> EditStack:
        """The pipeline's own; a pipeline made from another's parts has one of its own."""
        stack = vars(pipe).get(_ATTRIBUTE)
        if stack is None or stack.pipe is not pipe:
            stack = vars(pipe)[_ATTRIBUTE] = cls(weakref.ref(pipe))
        return cast(EditStack, stack)

    @property
    def pipe(self) -> Any:
        """The pipeline. Raises :class:`EditError` where it is gone."""
        pipe = self._pipe()
        if pipe is None:
            raise EditError("The pipeline of this edit is gone; put the edit on another one with apply_edit.")
        return pipe

    def change(self, change: Callable[[], object]) -> None:
        """Change entries, and have the pipeline act on them; where that cannot be, all is as before.

        Args:
            change: changes :attr:`entries`, or something about one of them.

        Raises:
            EditError: the edits cannot be solved together or do not act.
        """
        with self._lock:
            before = [(entry, entry.strength, entry.on) for entry in self.entries]
            change()
            try:
                self._put_on(self._solved())
            except BaseException:
                for entry, strength, on in before:
                    entry.strength, entry.on = strength, on
                self.entries = [entry for entry, _, _ in before]
                raise

    def drop(self, entry: Carried) -> None:
        """Forget an entry, if it is there; for :meth:`change`."""
        self.entries = [other for other in self.entries if other is not entry]

    def acting(self, entry: Carried) -> AnyEdit | None:
        """What an edit acts by now, alone or solved together with others; None where it is off."""
        return next((acting.edit for acting in self._acting if entry in acting.members), None)

    def drawn(self, entry: Carried) -> list[str]:
        """What each picture of the latest call has drawn by this edit, for people."""
        by_chance = self._drawn.get(id(self.acting(entry)))
        return by_chance.described() if by_chance else []

    def solve(self, recipe: Recipe) -> Edit:
        """A recipe in the space of the pipeline's text encoders, as they are now.

        Raises:
            EditError: it cannot be solved.
        """
        encode = encoder_of(self.pipe)
        return solve_recipe(self.pipe, recipe, encode, self._remembering(encode))

    def _remembering(self, encode: Encode) -> Encode:
        """An encoder that knows what it read before, as long as it says the same of the first prompt."""

        def remembered(prompts: Sequence[str]) -> list[EncodedPrompt]:
            known = self._encoded.get(prompts[0])
            if known is None or not EncoderIdentity.of(prompts[0], known).distance(encode) <= ASKED_AGAIN:
                self._encoded = {}
            missing = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._encoded]
            fresh = dict(zip(missing, encode(missing), strict=True)) if missing else {}
            self._encoded |= fresh
            return [self._encoded[prompt] for prompt in prompts]

        return remembered

    def _solved(self) -> list[Acting]:
        """The edits that are to act, in order; recipes that share settings are one, at the place of the first."""
        groups: list[list[Carried]] = []
        for entry in (entry for entry in self.entries if entry.on and entry.strength != 0):
            group = next((group for group in groups if _together(group[0].recipe, entry.recipe)), None)
            if group is None:
                groups.append([entry])
            else:
                group.append(entry)
        return [Acting(self._together(group), tuple(group)) for group in groups]

    def _together(self, members: Sequence[Carried]) -> AnyEdit:
        if len(members) == 1:
            return members[0].edit.scale(members[0].strength)
        return self.solve(reduce(Recipe.merge, (entry.recipe.scale(entry.strength) for entry in members if entry.recipe)))

    def _put_on(self, acting: Sequence[Acting]) -> None:
        """Take the hooks off and put these edits' on; those of before are put back where these cannot be put on."""
        before = self._acting
        self._hooks.close()
        try:
            self._hook([one.edit for one in acting])
        except BaseException:
            self._hooks.close()
            self._hook([one.edit for one in before])
            raise
        self._acting = acting

    def _hook(self, edits: Sequence[AnyEdit]) -> None:
        pipe, projections = self.pipe, [edit for edit in edits if isinstance(edit, Edit)]
        for edit in edits:
            if not isinstance(edit, Edit):
                self._hooks.enter_context(edited_text(pipe, edit))
        if not projections:
            return
        inputs, known = text_inputs(pipe), text_model(pipe)
        fixed = [edit for edit in projections if not edit.chance]
        maps = [inputs.maps(edit) for edit in fixed]
        views = [self._hooks.enter_context(own_view(pipe, name)) for name in components(pipe)]
        every = {projection.key for projection in inputs.projections if projection.kind != POOLED}
        whole = all(every <= set(own) for own in maps)
        if not whole:
            in_turn = {key: [own[key] for own in maps if key in own] for key in every}
            unet = views[0]  # where an edit may be for some of the layers, there is one
            self._hooks.enter_context(mapped_projections(unet, {key: own for key, own in in_turn.items() if own}))
        text = [TextMaps(edit.context_map if whole else None, edit.pooled_map, edit.norms) for edit in fixed]
        self._drawn = self._by_chance([edit for edit in projections if edit.chance])
        text += map(TextMaps, self._drawn.values())  # behind the others: it is the text that is mapped, before any layer
        if any(edit.text or edit.pooled for edit in text):
            for view in views:
                self._hooks.enter_context(mapped_text(view, known, text))

    def _by_chance(self, edits: Sequence[Edit]) -> dict[int, DrawnText]:
        if not edits:
            return {}
        inputs = text_inputs(self.pipe)
        for edit in edits:
            inputs.chosen(edit)
        if inputs.family.by_text:  # whose prompts and negative prompts come in another order, or one after the other
            raise EditError(_NOT_DRAWN.format(inputs.family.name))
        started = self._hooks.enter_context(started_pictures(self.pipe))
        return {id(edit): DrawnText(edit, started) for edit in edits}


def _together(first: Recipe | None, second: Recipe | None) -> bool:
    """Whether two edits are solved as one."""
    return first is not None and second is not None and first.shares_settings(second)
