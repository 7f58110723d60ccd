"""Run by ComfyUI-Manager, A1111 and Forge after cloning: installs what requirements.txt lists and the host lacks."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def missing_requirements(requirements: Path) -> list[str]:
    """The lines of a requirements file whose package is not installed or is older than its ">=" asks for."""
    missing = []
    for line in requirements.read_text(encoding="utf-8").splitlines():
        line = line.split("#")[0].strip()
        if not line:
            continue
        name, _, least = line.partition(">=")
        try:
            if _numbers(version(name.strip())) < _numbers(least):
                missing.append(line)
        except PackageNotFoundError:
            missing.append(line)
    return missing


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


if __name__ == "__main__":
    if missing := missing_requirements(Path(__file__).with_name("requirements.txt")):
        print(f"Edit Assumption installs {', '.join(missing)}")
        subprocess.check_call([sys.executable, "-m", "pip", "install", *missing])
