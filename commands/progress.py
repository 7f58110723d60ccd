"""Progress bars of commands, on the error output."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm


@contextmanager
def counted(what: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """A bar that appears when it is first told how much is done, and of how much."""
    bar: tqdm | None = None

    def advance(done: int, of: int) -> None:
        nonlocal bar
        bar = bar or tqdm(desc=what, unit=unit, total=of)
        bar.total = of
        bar.update(done - bar.n)

    try:
        yield advance
    finally:
        if bar is not None:
            bar.close()
