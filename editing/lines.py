"""The grammar of lines, the same in every text box and list file.

A line that begins with ``#`` is a comment; so is the rest of a line from a ``#`` with white space before and behind it. A
line that begins with ``=``, ``==`` or ``!`` is of another kind than the others. Where they have a meaning, ``->`` (or ``=>``,
``→``), ``@``, ``*``, ``~``, ``|`` and ``%`` part a line. A backslash takes the mark after it as part of the text. What looks
like a mark and has no meaning where it stands is refused with its escape, so that nothing is read as something else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from .errors import EditError

_Read = TypeVar("_Read")

ARROW = "->"
"""As :func:`split` calls any arrow."""
_ARROWS = (ARROW, "=>", "→")
_MEANINGS = {
    "=": "preserves a prompt",
    "==": "preserves a prompt strictly",
    "!": "begins a setting",
    "|": "parts a list",
    "@": "is a strength",
    "*": "is a weight",
}
_SHOWN = 10
"""Problems that are told one by one, so that a file of another kind does not fill the screen."""

_LINE_END = re.compile("\r\n|[\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029]")
_DASHES, _HEADS, _SIGNS = "\\-=–—−‐‑‒―－＝", ">＞", "→⇒⟶⟹⇨➔➙➛➜➝➞➡⮕↦"
_RUN = f"[<＜]?(?<![~{_DASHES}])(?:[~{_DASHES}]+[{_HEADS}]+|[~{_DASHES}]*[{_SIGNS}]+[{_HEADS}]*)"
_GAP = rf"[{_DASHES}]+\s+[{_HEADS}]"
_TOKEN = re.compile(
    rf"\\(?P<escaped>{_RUN}|{_GAP}|[#@*=!|~%\\])|(?P<comment>(?<!\S)#+(?!\S))|(?P<hash>#+)"
    rf"|(?P<arrow>{_RUN})|(?P<gap>(?<!\S){_GAP}(?!\S))|(?P<mark>[@*|~%])"
)
NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
_AMOUNT = re.compile(rf"(?<!\S)([@*]\s*{NUMBER})\s*(?:$|(?<=\s)#)")
_KIND = re.compile(rf"(?!{_RUN})(==?|!)")
_FACE = re.compile(r"[]_=^.,;:)}/+*|~?!@$%&>-]")
"""Behind a "=" that touches it: more likely a face, such as =_=, than a prompt."""


def tidy(prompt: str) -> str:
    """The prompt on one line: runs of white space become one space, the ends are trimmed, byte order marks left out."""
    return " ".join(prompt.replace("\ufeff", "").split())


def escape(text: str) -> str:
    """``text`` such that it is read back as itself wherever a line may have it."""
    doubled = re.sub(rf"\\(?={_RUN}|{_GAP}|[#@*=!|~%\\]|$)", r"\\\\", text)
    marked = re.sub(rf"{_RUN}|(?<!\S){_GAP}|[#@*=!|~]", lambda match: "\\" + match[0], doubled)
    return re.sub(rf"^(\s*{NUMBER}\s*)%", r"\1\\%", marked)


def kind_of(line: str) -> tuple[str, str]:
    """A line's mark at its beginning, "=", "==", "!" or none, and the rest.

    Raises:
        EditError: a "=" there is more likely part of a text.
    """
    match = _KIND.match(line)
    if not match:
        return "", line
    mark, rest = match[0], line[match.end() :]
    if mark != "!" and _FACE.match(rest):
        raise EditError(f"“{mark}” in front preserves a prompt; write \\= if it belongs to the text, or put a space behind it")
    return mark, rest


def split(text: str, marks: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """Cut a text at its bare ``marks``: [("", text), ("->", text), …]. Takes out backslashes and a comment at the end.

    Args:
        text: a line without the mark at its beginning.
        marks: of :data:`ARROW`, "@", "*", "~", "|", "%"; others are text.

    Raises:
        EditError: something looks like a mark, and has no meaning here.
    """
    parts, piece, mark, position, end, gap = [], "", "", 0, len(text), ""
    for match in _TOKEN.finditer(text):
        kind, token = match.lastgroup, match[match.lastgroup or ""]
        if kind == "comment":
            end = match.start()
            break
        if kind == "gap":
            gap = gap or token
            continue
        cut = _cut(match, marks)
        if cut or kind == "escaped":
            piece += text[position : match.start()] + ("" if cut else token)
            position = match.end()
        if cut:
            parts.append((mark, piece))
            mark, piece = cut, ""
    parts.append((mark, piece + text[position:end]))
    if gap and not {ARROW, "~"} & {mark for mark, _ in parts}:
        raise _nearly(gap)
    return parts


def _cut(match: re.Match[str], marks: tuple[str, ...]) -> str:
    """The mark that cuts a text at a token; none where it is text, an :class:`EditError` where it may be meant as a mark."""
    kind, token = match.lastgroup, match[match.lastgroup or ""]
    if kind == "hash":
        raise EditError("“#” touches its neighbour; write \\# if it belongs to the text, or put spaces around it")
    if kind == "arrow" and token not in _ARROWS:
        raise _nearly(token)
    if kind == "arrow" and ARROW not in marks:
        raise _out_of_place(token, "belongs to an edit", token)
    if kind == "arrow":
        return ARROW
    if kind == "mark" and token in marks:
        return token
    if kind == "mark" and (amount := _AMOUNT.match(match.string, match.start())):
        raise _out_of_place(amount[1], _MEANINGS[token], token)
    return ""


def has_arrow(text: str) -> bool:
    """Whether some part of a text is an arrow, or nearly one."""
    return re.search(rf"{_RUN}|(?<!\S){_GAP}(?!\S)", text) is not None


def _nearly(token: str) -> EditError:
    return EditError(f"“{token}” is nearly an arrow; write -> for one, or \\{token} if it belongs to the text")


def _out_of_place(written: str, meaning: str, mark: str) -> EditError:
    return EditError(f"“{written}” {meaning}, which has no place here; write \\{mark} if it belongs to the text")


def set_once(settings: dict[str, Any], name: str, value: Any) -> None:
    """Note what a line with "!" sets. Raises :class:`EditError` where a line before set it to something else."""
    if settings.setdefault(name, value) != value:
        raise EditError(f"“{name}” is set to something else in a line before; leave one of the two out")


def text_of(line: str, *refused: str) -> str:
    """A line that is a text and nothing else.

    Args:
        line: as it was written.
        refused: marks that part a line of another kind, and would be taken for that.

    Raises:
        EditError: it has a mark.
    """
    mark, rest = kind_of(line)
    if mark:
        raise _out_of_place(mark, _MEANINGS[mark], mark[0])
    (_, text), *others = split(rest, refused)
    for mark, _ in others:
        raise _out_of_place(mark, _MEANINGS[mark], mark)
    return tidy(text)


def read_lines(text: str, read: Callable[[str], _Read], box: str = "", empty: bool = False) -> list[_Read]:
    """What ``read`` makes of each line that is not a comment.

    Args:
        text: lines; byte order marks are left out.
        read: a line, trimmed, to what it says.
        box: what the lines are called, where there are others beside them.
        empty: whether an empty line says something, the one behind the last line end included.

    Raises:
        EditError: every line that ``read`` refuses, by its number.
    """
    results, problems = [], []
    for number, line in enumerate(_LINE_END.split(text.replace("\ufeff", "")), start=1):
        line = line.strip()
        if line.startswith("#") or not (line or empty):
            continue
        try:
            results.append(read(line))
        except EditError as error:
            problems.append(f"Line {number}{f' of {box}' if box else ''}: {str(error).rstrip('.')}.")
    if len(problems) > _SHOWN:
        problems[_SHOWN:] = [f"{len(problems) - _SHOWN} more lines are not understood either."]
    if problems:
        raise EditError("\n".join(problems))
    return results


def prompt_lines(text: str, box: str = "") -> list[str]:
    """The prompts of a text box or list file, one a line, without the empty ones. Raises as :func:`read_lines`."""
    return [prompt for prompt in read_lines(text, text_of, box) if prompt]


def phrase_lines(text: str, box: str = "") -> list[str]:
    """Like :func:`prompt_lines`, for what recipes write on one line with ``|`` between: augmentations, templates."""
    return [phrase for phrase in read_lines(text, lambda line: text_of(line, "|"), box) if phrase]
