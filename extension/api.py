"""The HTTP API below ``/edit-assumption``, behind the WebUI's own authentication."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from functools import wraps
from secrets import compare_digest
from threading import Event
from typing import Any

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from modules import shared
from pydantic import BaseModel, Field

from ..editing.assumptions.recipe import Recipe
from ..editing.errors import EditError
from . import edit_folder, recipe_actions
from .panel import DEFAULTS, recipe_of
from .queue_turns import Stopped, job, sender_has_gone


class RecipeRequest(BaseModel):
    """A recipe and its settings, as in the panel."""

    class Config:
        """A field that is misspelt would go unsaid."""

        extra = "forbid"

    recipe: str = Field(description="One edit a line: source -> destination")
    strength: float = DEFAULTS["strength"]
    regularization: float = DEFAULTS["regularization"]
    preserve: str = DEFAULTS["preserve"]
    regularizer: str = DEFAULTS["regularizer"]
    projections: str = DEFAULTS["projections"]
    blocks: str = DEFAULTS["blocks"]
    augmentations: str = DEFAULTS["augmentations"]
    pooled: bool = DEFAULTS["pooled"]

    def asked(self) -> Recipe:
        """What it says. Raises :class:`EditError`."""
        return recipe_of({name: getattr(self, name) for name in DEFAULTS})


class SaveRequest(RecipeRequest):
    """A recipe to be kept."""

    name: str = Field(description="Name of the file, without ending")
    overwrite: bool = False


class ExportRequest(SaveRequest):
    """A recipe to become a LoRA."""

    tolerance: float = Field(0.0, description="0 is exact; above, a smaller file this close to it (relative)")
    precision: str = Field("float16", description="float16, float32 or bfloat16")


class ReachRequest(RecipeRequest):
    """A recipe to be looked at."""

    related: list[str] = []
    unrelated: list[str] = []


class SolveAnswer(BaseModel):
    """What an edit is."""

    recipe: str = Field(description="The recipe as the program reads it")
    report: str
    rank: int
    residual: float = Field(description="What is left undone on the edited tokens, relative")


class SavedEdit(BaseModel):
    """An edit in the folder."""

    name: str
    recipe: str
    problem: str = Field(description="What keeps it from being used; empty for a good one")


class FileAnswer(BaseModel):
    """A file that was written."""

    name: str


class ReachAnswer(BaseModel):
    """What an edit reaches: relative change of the words' embeddings."""

    alignment: list[dict[str, Any]]
    sources: dict[str, float]
    related: dict[str, float]
    unrelated: dict[str, float]
    leaking: list[str] = Field(description="Unrelated prompts that will change")


def _solve(asked: RecipeRequest) -> SolveAnswer:
    """Solve a recipe for the model that is loaded."""
    inputs, edit = recipe_actions.solved(asked.asked())
    return SolveAnswer(
        recipe=edit.recipe.to_text(), report=inputs.report(edit), rank=edit.context_map.rank, residual=edit.residual
    )


def _list() -> list[SavedEdit]:
    """The saved edits."""
    return [SavedEdit(**asdict(entry)) for entry in edit_folder.listed()]


def _save(asked: SaveRequest) -> FileAnswer:
    """Solve a recipe and keep it for ``<edit:name:strength>``."""
    return FileAnswer(name=recipe_actions.save(asked.asked(), asked.name, asked.overwrite).stem)


def _delete(name: str) -> FileAnswer:
    """Delete a saved edit."""
    edit_folder.delete(name)
    return FileAnswer(name=name)


def _export(asked: ExportRequest) -> FileAnswer:
    """Solve a recipe and write it as a LoRA into the WebUI's Lora folder."""
    path = recipe_actions.export(asked.asked(), asked.name, asked.overwrite, asked.tolerance, asked.precision)
    return FileAnswer(name=path.stem)


def _reach(asked: ReachRequest) -> ReachAnswer:
    """What a recipe will change, from text alone."""
    shown = recipe_actions.look(asked.asked(), asked.related, asked.unrelated)
    return ReachAnswer(
        alignment=[
            {"source": pair.source, "destination": pair.destination, "words": [list(words) for words in pair.words]}
            for pair in shown.aligned
        ],
        sources=shown.sources,
        related=shown.related,
        unrelated=shown.unrelated,
        leaking=shown.leaking,
    )


_ROUTES = (
    ("GET", "/edits", _list, list[SavedEdit], nullcontext),
    ("DELETE", "/edits/{name}", _delete, FileAnswer, nullcontext),
    ("POST", "/solve", _solve, SolveAnswer, job),
    ("POST", "/save", _save, FileAnswer, job),
    ("POST", "/export", _export, FileAnswer, job),
    ("POST", "/reach", _reach, ReachAnswer, job),
)
"""Method, path, function, its answer, and the turn in which it is called: files alone do not wait for what is being drawn."""


def add_routes(app: FastAPI) -> None:
    """For the WebUI's callback once its server is up."""
    before = [*([Depends(guard)] if (guard := _guard(app)) else []), Depends(_watch_sender)]
    for method, path, function, answer, turn in _ROUTES:
        app.add_api_route(
            f"/edit-assumption{path}", _told(function, turn), methods=[method], response_model=answer, tags=["Edit Assumption"],
            summary=(function.__doc__ or "").strip(), dependencies=before,
        )  # fmt: skip


async def _watch_sender(request: Request) -> AsyncIterator[None]:
    """While a request is answered, in a thread beside the server's own: notice when its sender goes."""
    gone = Event()

    async def wait() -> None:  # ``is_disconnected`` notices nothing behind the WebUI's middleware
        while (await request.receive())["type"] != "http.disconnect":
            pass
        gone.set()

    waiting = asyncio.create_task(wait())
    sender_has_gone.set(gone.is_set)
    yield
    waiting.cancel()


def _told(function: Callable[..., Any], turn: Callable[[], AbstractContextManager[None]]) -> Callable[..., Any]:
    """The function in its turn; what is wrong with a request is told to its sender."""

    @wraps(function)
    def answer(*args: Any, **kwargs: Any) -> Any:
        try:
            with turn():
                return function(*args, **kwargs)
        except edit_folder.NoSuchEdit as error:
            raise HTTPException(404, str(error)) from error
        except EditError as error:
            raise HTTPException(422, str(error)) from error
        except Stopped as error:
            raise HTTPException(409, str(error)) from error

    return answer


def _guard(app: FastAPI) -> Callable[..., None] | None:
    """What lets a request through: the API's password where there is one, else the page's login, else nothing is asked."""
    if shared.cmd_opts.api_auth:
        known = dict(entry.split(":", 1) for entry in shared.cmd_opts.api_auth.split(","))

        def by_password(given: HTTPBasicCredentials = Depends(HTTPBasic())) -> None:  # noqa: B008 - FastAPI's way
            password = known.get(given.username)
            if password is None or not compare_digest(given.password.encode(), password.encode()):
                raise HTTPException(401, "Incorrect username or password", {"WWW-Authenticate": "Basic"})

        return by_password
    if getattr(app, "auth", None):

        def by_login(request: Request) -> None:
            cookies = [value for name, value in request.cookies.items() if name.startswith("access-token")]
            if not any(value in app.tokens for value in cookies):
                raise HTTPException(401, "Not authenticated")

        return by_login
    return None
