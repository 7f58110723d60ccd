"""``edit-assumption info``: what is in an edit file, a LoRA, a checkpoint, or a picture's or file's workflow."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .answers import add_json, answer

_OURS = "EditAssumption"
_EMBEDDED = ("prompt", "workflow")
"""Under which names ComfyUI writes its graph into a picture."""


def add_info(commands: Any) -> None:
    """The command's arguments."""
    parser = commands.add_parser(
        "info",
        help="what is in an edit file, a LoRA, a checkpoint, a workflow",
        epilog="example: edit-assumption info roses.safetensors",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help=".safetensors, or a workflow as .json or in a .png")
    add_json(parser)


def run_info(options: argparse.Namespace) -> str:
    """Read. Raises :class:`EditError` where nothing that is known here is in the file."""
    path: Path = options.file
    facts = _workflow(path) if path.suffix.lower() in (".json", ".png") else _tensors(path)
    text = "\n".join(
        [f"{path.name}: {facts['kind']}", *(f"{name}: {value}" for name, value in facts.items() if name not in _LONG)]
    )
    for name in ("recipe", "nodes"):
        if facts.get(name):
            lines = facts[name].splitlines() if isinstance(facts[name], str) else facts[name]
            text += "\n" + "\n".join(f"  {line}" for line in lines)
    return answer(options, text, facts)


_LONG = ("kind", "recipe", "nodes")


def _tensors(path: Path) -> dict[str, Any]:
    from ..editing.edit_file import load_edit
    from .checkpoint import RECIPE, Checkpoint, read_header, summary

    kind, shapes, texts = read_header(path)
    facts: dict[str, Any] = {"kind": kind or "a checkpoint", "tensors": len(shapes)}
    if kind == "an edit file":
        edit = load_edit(path)
        return {**facts, "what": summary(edit), "recipe": edit.recipe.to_text()}
    if not kind:
        facts["family"] = Checkpoint(path).inputs.family.name
    if RECIPE in texts:
        facts["recipe"] = texts[RECIPE]
    if kind == "a LoRA":
        facts |= {"rank": texts.get("ss_network_dim", "not said"), "for": texts.get("ss_base_model_version", "not said")}
    return facts


def _workflow(path: Path) -> dict[str, Any]:
    from ..editing.errors import EditError

    nodes = [node for graph in _graphs(path) for node in _nodes(graph)]
    if not nodes:
        raise EditError(f"“{path}” has no workflow with a node of Edit Assumption; give one that has.")
    return {"kind": "a workflow", "nodes": list(dict.fromkeys(nodes))}


def _graphs(path: Path) -> Iterator[Any]:
    from PIL import Image, UnidentifiedImageError

    from ..editing.errors import EditError
    from ..editing.text_file import read_text

    if path.suffix.lower() == ".json":
        texts = [read_text(path, "workflow")]
    else:
        try:
            with Image.open(path) as picture:
                texts = [str(picture.info[name]) for name in _EMBEDDED if name in picture.info]
        except (OSError, UnidentifiedImageError) as error:
            raise EditError(f"“{path}” cannot be read as a picture; give a .png that ComfyUI saved.") from error
    for text in texts:
        try:
            yield json.loads(text)
        except ValueError as error:
            raise EditError(f"“{path}” is no workflow: its JSON is damaged; save it again.") from error


def _nodes(graph: Any) -> Iterator[str]:
    """Our nodes in a graph, in API form or as the page saves it, with the texts that were typed into them."""
    if not isinstance(graph, Mapping):
        return
    for node in graph.get("nodes", []) if isinstance(graph.get("nodes"), list) else []:
        kind, values = str(node.get("type")), node.get("widgets_values") or []
        if kind.startswith(_OURS):
            yield _line(kind, values.values() if isinstance(values, Mapping) else values)
    for node in graph.values():
        if isinstance(node, Mapping) and str(node.get("class_type")).startswith(_OURS):
            yield _line(str(node["class_type"]), dict(node.get("inputs", {})).values())


def _line(kind: str, values: Any) -> str:
    texts = [value.strip().replace("\n", " | ") for value in values if isinstance(value, str) and value.strip()]
    return f"{kind}: {', '.join(f'“{text}”' for text in texts)}" if texts else kind
