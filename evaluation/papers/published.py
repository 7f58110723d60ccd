"""Other people's numbers, as what they are: from their papers, on their weights, with their judges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_REFACT = "ReFACT's authors (Arad et al. 2024, arXiv 2306.00738, table 1) of Stable Diffusion 1.4 and TIMED"
_EMCID = "EMCID's authors (Xiong et al. 2024, arXiv 2403.13807, abstract)"
PUBLISHED: Mapping[str, Sequence[str]] = {
    _REFACT: ("TIME: generality 64 %, specificity 76 %",),
    _EMCID: ("EMCID: up to 1,000 concepts edited together",),
}
"""Who says so to what is said, rounded as the project quotes it."""


def published_lines() -> list[str]:
    """As lines of Markdown."""
    return [f"- {what}. Said by {who}." for who, numbers in PUBLISHED.items() for what in numbers]
