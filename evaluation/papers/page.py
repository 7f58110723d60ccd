"""The report as a page: its text, and a contact sheet for every edit, a row for each prompt and a column for each method."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from ..joint import Shot
from .edit_set import Case
from .picture_files import SMALL, UNEDITED, file_name
from .run import SHOWN, Group, place_of, shots_of

_ORACLE = "oracle"
_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: #30343a; background: #fff }}
body {{ margin: 2rem auto; max-width: 75rem; padding: 0 1rem }}
table {{ border-collapse: collapse; margin: 1rem 0 }}
td, th {{ padding: .25rem .6rem; border-bottom: 1px solid #dde1e5; text-align: right; vertical-align: top }}
td:first-child, th:first-child {{ text-align: left }}
img {{ width: 6rem; height: auto; display: inline-block }}
summary {{ cursor: pointer; padding: .3rem 0 }}
.measure {{ color: #8a929b; font-size: .85em }}
@media (prefers-color-scheme: dark) {{ body {{ color: #e4e7eb; background: #1b1f24 }} td, th {{ border-color: #3a4149 }} }}
</style></head><body>
"""


def page(text: str, folder: Path, methods: Sequence[str], groups: Sequence[Group], seeds: Sequence[int]) -> str:
    """The page.

    Args:
        text: the report in Markdown, of headings, lists, paragraphs and one table.
        folder: where thumbnails are looked for.
        methods: columns of the contact sheets.
        groups: those of the sheets; none for no sheets.
        seeds: of prompts without their own.
    """
    title = text.partition("\n")[0].lstrip("# ")
    sheets = [sheet for group in groups for sheet in _sheets(folder, methods, group, seeds)]
    heading = ["<h2>Contact sheets</h2>"] if sheets else []
    return "\n".join([_HEAD.format(title=escape(title)), *_blocks(text), *heading, *sheets, "</body></html>", ""])


def _blocks(text: str) -> Iterator[str]:
    """The few kinds of Markdown that reports have, as HTML."""
    for block in filter(None, (part.strip() for part in text.split("\n\n"))):
        lines = block.splitlines()
        if block.startswith("#"):
            level = len(block) - len(block.lstrip("#"))
            yield f"<h{level}>{escape(block.lstrip('# '))}</h{level}>"
        elif block.startswith("|"):
            rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in (lines[0], *lines[2:])]
            yield "<table>"
            for number, row in enumerate(rows):
                kind = "td" if number else "th"
                yield f"<tr>{''.join(f'<{kind}>{escape(cell)}</{kind}>' for cell in row)}</tr>"
            yield "</table>"
        elif block.startswith("- "):
            yield f"<ul>{''.join(f'<li>{_emphasis(line[2:])}</li>' for line in lines)}</ul>"
        else:
            yield f"<p>{_emphasis(block)}</p>"


def _emphasis(text: str) -> str:
    parts = escape(text).split("*")
    return "".join(f"<em>{part}</em>" if number % 2 and len(parts) > 2 else part for number, part in enumerate(parts))


def _sheets(folder: Path, methods: Sequence[str], group: Group, seeds: Sequence[int]) -> Iterator[str]:
    for edit in group.drawn.values():
        title = f"{edit.source} → {' | '.join(edit.variants) or edit.destination}"
        together = f" ({group.together} edits together)" if group.together > 1 else ""
        yield f"<details><summary>{escape(title + together)}</summary><table>"
        yield f"<tr><th>prompt</th>{''.join(f'<th>{escape(method)}</th>' for method in methods)}</tr>"
        for measure, cases in edit.cases.items():
            for case in cases:
                cells = (_pictures(folder, method, group, case, seeds) for method in methods)
                named = f"{escape(case.prompt)}<br><span class=measure>{escape(measure)}</span>"
                yield f"<tr><td>{named}</td>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
        yield "</table></details>"


def _pictures(folder: Path, method: str, group: Group, case: Case, seeds: Sequence[int]) -> str:
    plain = method in (UNEDITED, _ORACLE)
    place = UNEDITED if plain else place_of(method, group.together, group.number)
    paths = [_path(place, shot) for shot in shots_of(case, seeds, method == _ORACLE)[:SHOWN]]
    return " ".join(f'<img loading="lazy" alt="" src="{path}">' for path in paths if (folder / path).is_file())


def _path(place: str, shot: Shot) -> str:
    return f"{SMALL}/{place}/{file_name(shot)}.webp"
