"""Fixtures of the tests in a real ComfyUI."""

import pytest


@pytest.fixture(scope="session")
def judge():
    pytest.importorskip("transformers")
    from edit_assumption.pocket.judge import load_judge

    return load_judge()
