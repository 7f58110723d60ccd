"""Edits on the model for just as long as a sampler draws."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial, wraps
from typing import Any

from modules import shared

from ..editing.errors import EditError
from .chance_rows import DREW_KEY, ChanceRows
from .generation_request import NAMED_KEY, RECIPE_KEY, GenerationRequest
from .queue_turns import Stopped
from .recipe_solver import maps_of, solve, text_inputs
from .remarks import Refusal, say, say_not_done
from .running_host import host, name_of
from .text_encoder_edits import changed_text, fitting
from .text_rows import ROWS, MappedRows

_MARK = "edit_assumption_asked"
_current: Session | None = None


class Session:
    """The time of one sampling.

    Args:
        p: the WebUI's processing object.
        asked: what it asks for.
    """

    def __init__(self, p: Any, asked: GenerationRequest) -> None:
        self.p, self.asked = p, asked
        self.stack = ExitStack()
        self.model: tuple[int, Any] | None = None
        self.rows, self.mapped = ChanceRows(p, ()), MappedRows(())

    def __enter__(self) -> Session:
        global _current
        _current = self
        return self

    def __exit__(self, *error: object) -> None:
        global _current
        _current = None
        self.stack.close()

    def put_on(self) -> None:
        """Solve for the model that is loaded now, and put the edits on it in place of those that are on.

        Raises:
            EditError: what is asked cannot be done with this model.
        """
        model = shared.sd_model
        self.stack.close()
        self.model = name_of(model)
        self.rows, self.mapped = ChanceRows(self.p, ()), MappedRows(())
        recipes = self.asked.recipes()
        if not recipes:
            return
        inputs = text_inputs(model)
        with changed_text(model, fitting(model, self.asked)):  # as the prompts of the picture are encoded
            edits = [solve(model, inputs, recipe) for recipe in recipes]
        maps = maps_of(inputs, [edit for edit in edits if not edit.chance])
        self.rows, self.mapped = ChanceRows(self.p, edits), MappedRows(maps.pop(ROWS, []))
        if maps:
            self.stack.enter_context(host().edited(model, maps))
        self.asked.was_on = True
        for edit in edits:
            say(self.p, partial(inputs.report, edit))

    def withdraw(self) -> None:
        """After an interrupt before anything was on: the picture must not claim an edit."""
        if self.asked.was_on:
            return
        for key in (RECIPE_KEY, NAMED_KEY, DREW_KEY):
            self.p.extra_generation_params.pop(key, None)
        say_not_done(self.p, "interrupted before the edit was ready; this picture is without it.")

    def follow(self) -> None:
        """After a refiner took the model's place: the edits for that one, or none and a remark."""
        if self.model == name_of(shared.sd_model):
            return
        try:
            self.put_on()
        except EditError as error:
            say_not_done(self.p, f"not on the refiner. {error}")


def before_step(params: Any) -> None:
    """For the WebUI's callback before each step."""
    if _current is not None:
        _current.follow()
        _current.rows.change(params)
        _current.mapped.change(params)


def edit_while_sampling(p: Any, asked: GenerationRequest) -> None:
    """Have the sampler that ``p`` will use next draw with the edits on.

    What is wrong is raised from the sampler, where it ends the generation with one sentence: the WebUI only prints what is
    raised from a script, and draws on without it.
    """
    sampler = p.sampler
    wrapped = hasattr(sampler, _MARK)
    setattr(sampler, _MARK, asked)
    if wrapped:  # Forge announces a sampling more than once
        return

    def around(sample: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(sample)
        def edited(*args: Any, **kwargs: Any) -> Any:
            with Session(p, getattr(sampler, _MARK)) as session:
                try:
                    session.put_on()
                except EditError as error:
                    raise Refusal(error) from error
                except Stopped:  # the sampler sees for itself that it is to stop
                    session.withdraw()
                samples = sample(*args, **kwargs)
                for problem in filter(None, (session.rows.problem, session.mapped.problem)):
                    say_not_done(p, problem)
                return samples

        return edited

    for name in ("sample", "sample_img2img"):
        setattr(sampler, name, around(getattr(sampler, name)))
