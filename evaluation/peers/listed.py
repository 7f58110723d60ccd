"""The newer peers as methods of the tables."""

from __future__ import annotations

from ..suite_methods import Method, Solver
from .cure import Cure
from .rece import Rece
from .semantic_surgery import semantic_surgery
from .speed import Speed


def peers() -> dict[str, Method]:
    """Name to method, each our reading of a paper, in the order of the tables."""
    readings: dict[str, Solver] = {"RECE": Rece(), "SPEED": Speed(), "CURE": Cure(), "Semantic Surgery": semantic_surgery}
    return {name: Method(name, solve) for name, solve in ((f"our reading of {name}", own) for name, own in readings.items())}
