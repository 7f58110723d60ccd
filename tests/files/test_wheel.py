"""The wheel as pip builds it: the whole package with its data, and nothing else."""

import subprocess
import sys
import zipfile
from pathlib import PurePosixPath

import pytest
from servers import REPOSITORY

pytest.importorskip("setuptools", "77", reason="setuptools is not installed")
DATA = {".safetensors", ".json", ".txt", ".typed"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of the files under version control, and what is in it."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    for path in listed.splitlines():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes((REPOSITORY / path).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_has_the_code_and_the_bundled_model(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(["git", "ls-files", "*.py"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    apart = ("tests/", "scripts/", "docs/", "install.py")
    assert {f"edit_assumption/{path}" for path in tracked.splitlines() if not path.startswith(apart)} <= names
    weights = "edit_assumption/pocket/weights"
    assert {f"{weights}/unet/diffusion_pytorch_model.safetensors", f"{weights}/tokenizer/vocab.json"} <= names


def test_the_wheel_has_no_tests_no_logs_and_stays_small(wheel):
    paths = [PurePosixPath(name) for name in zipfile.ZipFile(wheel).namelist()]
    own = [path for path in paths if path.parts[0] == "edit_assumption"]
    assert {path.suffix for path in own} <= {".py"} | DATA
    assert not [path for path in own if {"tests", "training", "docs", "workflows"} & set(path.parts[:-1])]
    assert {path.parts[0].split("-")[0] for path in paths} == {"edit_assumption"}
    assert wheel.stat().st_size < 20_000_000
