"""The vocabulary is the same every time it is made, and makes one token of every word."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("transformers", reason="transformers is not installed")

from edit_assumption.pocket import WEIGHTS
from edit_assumption.pocket.tokenizer import known_words, write_tokenizer

FILES = ("vocab.json", "merges.txt")


def test_every_word_is_one_token(tmp_path):
    tokenizer = write_tokenizer(tmp_path)
    assert {len(tokenizer(word)["input_ids"]) for word in known_words()} == {3}  # start, word, end
    assert len({tokenizer(word)["input_ids"][1] for word in known_words()}) == len(known_words())


@pytest.mark.parametrize("seed", ["1", "2"])
def test_it_is_the_one_that_the_weights_were_trained_with(tmp_path, seed):
    """In processes of their own, since chance differs from one to the next."""
    code = "from pathlib import Path; import sys; from edit_assumption.pocket.tokenizer import write_tokenizer; "
    code += "write_tokenizer(Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, env={**os.environ, "PYTHONHASHSEED": seed})
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (WEIGHTS / "tokenizer" / name).read_bytes()
