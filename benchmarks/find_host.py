"""Where the host's benchmark runs: finds ComfyUI, its Python and an SD 1.x checkpoint, and starts host.py there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

_PROBE = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
_WIDTH = 768
_LONGEST_HEADER = 100_000_000


class NoHostError(RuntimeError):
    """ComfyUI cannot be measured; the message says why."""


def comfyui_folder(chosen: str | None) -> Path:
    """The ComfyUI that is asked for: ``chosen``, else COMFYUI_PATH, else ~/comfy/ComfyUI."""
    folder = Path(chosen or os.environ.get("COMFYUI_PATH") or "~/comfy/ComfyUI").expanduser().resolve()
    if not (folder / "comfy" / "sd.py").is_file():
        raise NoHostError(f"there is no ComfyUI in {folder}; give --comfyui or set COMFYUI_PATH")
    return folder


def python_of(comfyui: Path) -> str:
    """ComfyUI's own Python where it has a virtual environment, else this one."""
    for place in (".venv/bin/python", ".venv/Scripts/python.exe"):
        if (comfyui / place).is_file():
            return str(comfyui / place)
    return sys.executable


def _is_sd1(path: Path) -> bool:
    """Whether a .safetensors file is a full SD 1.x checkpoint, by its header."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if length < _LONGEST_HEADER else {}
    except (OSError, ValueError):
        return False
    shape = header.get(_PROBE, {}).get("shape", [0])
    return shape[-1] == _WIDTH and any(key.startswith("cond_stage_model.") for key in header)


def checkpoint_file(chosen: str | None, comfyui: Path) -> Path:
    """``chosen``, else the first SD 1.x checkpoint in ComfyUI's own folder."""
    if chosen:
        path = Path(chosen).expanduser().resolve()
        if not path.is_file():
            raise NoHostError(f"there is no checkpoint {path}")
        return path
    for path in sorted((comfyui / "models" / "checkpoints").rglob("*.safetensors")):
        if _is_sd1(path):
            return path
    raise NoHostError("ComfyUI's models/checkpoints has no SD 1.x checkpoint; give --checkpoint")


def run_host(comfyui: Path, checkpoint: Path, *options: str) -> dict[str, Any]:
    """What host.py, with its ``options``, measures there.

    Raises:
        NoHostError: it failed; the end of its messages is printed.
    """
    script = Path(__file__).with_name("host.py")
    command = [python_of(comfyui), str(script), str(comfyui), str(checkpoint), *options]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace")
    answers = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not answers:
        sys.stderr.write(done.stderr[-4000:])
        raise NoHostError(f"ComfyUI's benchmark stopped with code {done.returncode}; its last messages are above")
    return json.loads(answers[-1])
