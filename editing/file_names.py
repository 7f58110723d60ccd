"""File names as people write them in a save node, with the marks that ComfyUI's own save nodes know."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .errors import EditError

_ENDINGS = re.compile(r"(\s*\.safetensors)+$")
_LONGEST = 200
"""Bytes in one part of a path: file systems take 255, and a number, an ending and a name while it is written are added."""
_DATE = {"yyyy": "%Y", "yy": "%y", "MM": "%m", "dd": "%d", "hh": "%H", "mm": "%M", "ss": "%S"}
_SHORT_DATE = {"M": "month", "d": "day", "h": "hour", "m": "minute", "s": "second"}
_UNFIT = re.compile(r'[\x00-\x1f\x7f<>:"|?*]')


def tidy_name(written: str, folder: str) -> str:
    """The name below ``folder``, a file's without its ending, as a path from the output folder.

    Args:
        written: with or without the folder in front, with or without the ending.
        folder: where the node that reads such files looks.

    Raises:
        EditError: it is no name, leads out of the output folder, or cannot be one on some system.
    """
    parts = [part.strip() for part in written.replace("\\", "/").split("/")]
    if ".." in parts or written.strip().startswith("/") or re.match(r"[A-Za-z]:", written.strip()):
        raise EditError(f"“{written}” leads out of ComfyUI's output folder; give a name within it.")
    inner = parts[1:] if parts[0] == folder else parts
    inner = [*inner[:-1], _ENDINGS.sub("", inner[-1])] if inner else [""]
    if not inner[-1].strip("."):
        raise EditError(f"“{written}” names no file; write a name such as: {folder}/blue roses")
    if unfit := _UNFIT.search("".join(inner)):
        raise EditError(f"“{written!a}” has {unfit[0]!a} in it, which a file's name cannot have; leave it out.")
    if any(len(part.encode()) > _LONGEST for part in inner):
        raise EditError(
            f"“{written[:30]}…” is too long for a file's name; write at most {_LONGEST} letters, or {_LONGEST // 3} in Chinese."
        )
    return "/".join([folder, *(part for part in inner if part.strip("."))])


def with_marks_read(written: str, prompt: Mapping[str, Any] | None, workflow: Mapping[str, Any] | None) -> str:
    """``%date:yyyy-MM-dd%`` as today's date, ``%KSampler.seed%`` as what that node's widget says.

    Args:
        written: the name; marks that say nothing stay.
        prompt: the graph as it runs, node ids to inputs.
        workflow: the graph as the page draws it, which knows what nodes are called; None where no page is there.
    """
    return re.sub(r"%([^%]+)%", lambda match: _read(match[1], prompt or {}, workflow or {}) or match[0], written)


def _read(mark: str, prompt: Mapping[str, Any], workflow: Mapping[str, Any]) -> str | None:
    if mark.startswith("date:"):
        return _date(mark.removeprefix("date:"), datetime.now())
    name, dot, widget = mark.partition(".")
    if not dot:
        return None
    called = [*_ids(workflow, lambda node: (node.get("properties") or {}).get("Node name for S&R"), name)]
    called += [*_ids(workflow, lambda node: node.get("title"), name)]
    called += [node_id for node_id, node in prompt.items() if node.get("class_type") == name]
    for node_id in called:
        value = (prompt.get(node_id) or {}).get("inputs", {}).get(widget)
        if value is not None and not isinstance(value, list):
            return re.sub(r"[/\\]|" + _UNFIT.pattern, "_", str(value))
    return None


def _ids(workflow: Mapping[str, Any], called: Any, name: str) -> list[str]:
    return [str(node["id"]) for node in workflow.get("nodes", []) if called(node) == name]


def _date(pattern: str, now: datetime) -> str:
    def part(match: re.Match[str]) -> str:
        return now.strftime(_DATE[match[0]]) if match[0] in _DATE else str(getattr(now, _SHORT_DATE[match[0]]))

    return re.sub("yyyy|yy|MM|dd|hh|mm|ss|M|d|h|m|s", part, pattern)
