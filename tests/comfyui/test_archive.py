"""The node archive that ComfyUI's Registry makes: without what .comfyignore names, all nodes are there and run."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import PurePosixPath

import pathspec
import pytest
from comfy_server import HOW_TO, installed_hosts
from servers import REPOSITORY

HOSTS = installed_hosts()[:1] or [pytest.param(None, marks=pytest.mark.skip(reason=f"no ComfyUI is installed: {HOW_TO}"))]
LOAD = """
import asyncio, json, os, sys
sys.argv = ["main.py", "--cpu", "--base-directory", os.environ["BASE"]]
sys.path.insert(0, os.getcwd())
import comfy.options
comfy.options.enable_args_parsing()
import utils.extra_config  # as main.py does, before nodes puts a folder with another utils on the path
import nodes
assert asyncio.run(nodes.load_custom_node(os.environ["ARCHIVE"], module_parent="custom_nodes"))
found = {name: node for name, node in nodes.NODE_CLASS_MAPPINGS.items() if name.startswith("EditAssumption")}
model, clip, vae = found["EditAssumptionLoadPocketModel"].execute().result
inputs = dict(regularization=0.1, augmentations="", projections="keys and values")
edit = found["EditAssumption"].execute(clip, "roses", "blue roses", 1.0, model, **inputs).result[1]
found["EditAssumptionPreviewEdit"].execute(clip, "roses", "a cat", edit)
print(json.dumps([sorted(found), edit.recipe.to_text()]))
"""


def ignored():
    """What .comfyignore names, read as comfy-cli reads it."""
    return pathspec.GitIgnoreSpec.from_lines((REPOSITORY / ".comfyignore").read_text().splitlines())


def shipped():
    """Every file under version control that goes into the archive."""
    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    names = ignored()
    return [path for path in listed.splitlines() if not names.match_file(path)]


def imports_of(path):
    """The package's own modules that a file imports, wherever in it."""
    tree = ast.parse((REPOSITORY / path).read_text())
    for_types = [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    skipped = {inner for node in for_types for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level and node not in skipped:
            base = PurePosixPath(*PurePosixPath(path).parts[: -node.level], *(node.module or "").split("."))
            yield from (base, *(base / alias.name for alias in node.names))


def reached():
    """All files of the package that its entry point for ComfyUI imports, at once or later."""
    found, waiting = set(), ["__init__.py"]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for module in imports_of(path):
            names = (str(module.with_suffix(".py")) if module.name else "", str(module / "__init__.py"))
            waiting += [name for name in names if (REPOSITORY / name).is_file()]
    return found


def test_nothing_that_comfyui_imports_is_left_out():
    files = reached()
    assert "nodes/comfy/edited_model.py" in files and "pocket/judge.py" in files
    assert files <= set(shipped())


def test_what_comfyui_never_imports_is_left_out():
    code = {path for path in shipped() if path.endswith(".py") and not path.startswith("editing/")}
    files = reached()
    packages = {str(parent / "__init__.py") for path in files for parent in PurePosixPath(path).parents}
    assert code <= files | packages


def test_the_archive_is_small_and_without_tests_logs_and_pages():
    files = shipped()
    assert not [path for path in files if path.startswith(("tests/", "docs/", "benchmarks/")) or path.endswith(".jsonl")]
    assert {"web/docs/EditAssumption.md", "workflows/a_quickstart.json", "pocket/weights/unet/config.json"} <= set(files)
    assert sum((REPOSITORY / path).stat().st_size for path in files) < 20_000_000


@pytest.mark.parametrize("host", HOSTS, ids=lambda folder: getattr(folder, "name", "none"))
def test_the_nodes_load_from_the_archive(host, tmp_path):
    archive = tmp_path / "custom_nodes/archive"
    for path in shipped():
        (archive / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(REPOSITORY / path, archive / path)
    python = host / ".venv/bin/python"
    environment = {**os.environ, "ARCHIVE": str(archive), "BASE": str(tmp_path), "PYTHONPATH": ""}
    command = [str(python) if python.exists() else sys.executable, "-c", LOAD]
    done = subprocess.run(command, cwd=host, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    names, recipe = json.loads(done.stdout.splitlines()[-1])
    assert len(names) == 23 and "roses -> blue roses" in recipe
