"""What the benchmark reports: rows, and how they are printed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One result.

    Args:
        what: what was measured.
        value: the ratio or value; None when it could not be measured.
        unit: "×" for a ratio, else the unit of the value.
        details: absolute times and conditions, or why there is no value.
        target: what the value should be, in words.
        met: whether it is; None where there is no target or no value.
    """

    what: str
    value: float | None
    unit: str
    details: str
    target: str = ""
    met: bool | None = None

    def cells(self) -> tuple[str, str, str, str]:
        """The row's text, column by column."""
        shown = (
            "skipped" if self.value is None else f"{_number(self.value)}{'' if self.unit == '×' else ' '}{self.unit}".strip()
        )
        verdict = "" if self.met is None else ", met" if self.met else ", **not met**"
        return self.what, shown, (self.target or "none") + verdict, self.details


def at_least(least: float, what: str, value: float, details: str, unit: str = "×") -> Row:
    """A row whose value should not be smaller than ``least``."""
    return Row(what, value, unit, details, f"≥ {least:g}{'' if unit == '×' else ' '}{unit}".strip(), value >= least)


def below(most: float, what: str, value: float, unit: str, details: str, target: str = "") -> Row:
    """A row whose value should be smaller than ``most``, which ``target`` can say in words."""
    return Row(what, value, unit, details, target or f"< {most:g}{'' if unit == '×' else ' '}{unit}".strip(), value < most)


def _number(value: float) -> str:
    if value and abs(value) < 0.01:
        return f"{value:.1e}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


def markdown(rows: Iterable[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [("what", "ratio or value", "target", "details"), ("---", "---:", "---", "---"), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
