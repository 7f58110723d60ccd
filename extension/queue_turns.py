"""Turns in the WebUI's queue: its progress bar shows what is done, and its Interrupt stops it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from modules import progress, shared
from modules.call_queue import queue_lock

sender_has_gone: ContextVar[Callable[[], bool]] = ContextVar("sender_has_gone", default=lambda: False)
"""Whether nobody waits any longer for what the API was asked."""


class Stopped(Exception):
    """The user pressed Interrupt, or nobody waits for the answer."""

    def __str__(self) -> str:
        return "Interrupted before it was done; nothing was changed."


def stop_if_unwanted() -> None:
    """Raise :class:`Stopped` where nobody wants the rest."""
    if shared.state.interrupted or sender_has_gone.get()():
        raise Stopped


@contextmanager
def job(task: str | None = None) -> Iterator[None]:
    """A turn in the queue, after what is being drawn. An Interrupt that was pressed earlier does not count.

    Args:
        task: by which the page asks for progress.
    """
    if task:
        progress.add_task_to_queue(task)
    with queue_lock:
        shared.state.begin(job="edit_assumption")
        progress.start_task(task)
        try:
            stop_if_unwanted()
            yield
        finally:
            progress.finish_task(task)
            shared.state.end()


@contextmanager
def told_progress(doing: str) -> Iterator[Callable[[int, int], None]]:
    """What shows in the WebUI's bar how much of something is done, and raises :class:`Stopped` where nobody wants the rest.

    Args:
        doing: in words.
    """
    state = shared.state
    before = state.textinfo, state.job_count, state.sampling_step, state.sampling_steps

    def advance(done: int, total: int) -> None:
        stop_if_unwanted()
        state.textinfo = f"Edit Assumption: {doing}: {done}/{total}"
        state.job_count = max(state.job_count, 1)
        state.sampling_step, state.sampling_steps = done, total

    try:
        yield advance
    finally:
        state.textinfo, state.job_count, state.sampling_step, state.sampling_steps = before
