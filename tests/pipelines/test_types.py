"""The package and a program that uses all of it pass mypy in its strict mode."""

import os
import re
import subprocess
import sys

import edit_assumption as ea
import pytest
from servers import REPOSITORY, SUPPORT

pytest.importorskip("mypy", reason="mypy is not installed: pip install -e .[test]")
PROGRAM = SUPPORT / "uses_the_package.py"


def test_the_package_and_a_program_that_uses_it_are_typed(tmp_path):
    folder = tmp_path / "path"
    folder.mkdir()
    (folder / "edit_assumption").symlink_to(REPOSITORY)
    settings = ["--config-file", str(REPOSITORY / "pyproject.toml"), "--cache-dir", str(tmp_path / "cache")]
    command = [sys.executable, "-m", "mypy", *settings]
    environment = {**os.environ, "MYPYPATH": str(folder)}
    program = tmp_path / "program/uses_the_package.py"  # a place where nothing else lies
    program.parent.mkdir()
    program.write_text(PROGRAM.read_text())
    for asked in ([], [str(program)]):
        more = ["--strict"] if asked else []
        done = subprocess.run([*command, *more, *asked], capture_output=True, text=True, cwd=folder, env=environment)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr


def test_the_program_uses_every_public_name():
    used = set(re.findall(r"\bea\.(\w+)", PROGRAM.read_text()))
    assert set(ea.__all__) == used
