"""How messages say things: prompts shortened and counted, shares in percent, remarks that several places make."""

from __future__ import annotations

from collections.abc import Sequence

_NAMED = 3


def shortened(text: str) -> str:
    """A long text's beginning and end."""
    return text if len(text) <= 80 else f"{text[:40]}…{text[-40:]}"


def first_named(prompts: Sequence[str]) -> str:
    """The first prompts in quotation marks, and how many more there are."""
    shown = ", ".join(f"“{prompt}”" for prompt in prompts[:_NAMED])
    return shown + (f" and {len(prompts) - _NAMED} more" if len(prompts) > _NAMED else "")


def percent(amount: float) -> str:
    """A share in percent with two significant digits: 0.1234 is "12 %"."""
    return f"{100 * amount:.2g} %" if amount < 0.995 else f"{100 * amount:.0f} %"


def end_only_remark(sources: Sequence[str]) -> str:
    """What people are told of such sources; "" where there are none."""
    if not sources:
        return ""
    return (
        f"No word of {first_named(sources)} moves, only the end of the prompt. "
        "Write what is new before the noun, as in “a snowy rose” or “a female doctor”."
    )
