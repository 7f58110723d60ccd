"""``measure text``: rank agreement by hand, and both sides of a pair on the pocket model."""

import json
from statistics import fmean

import pytest

pytest.importorskip("diffusers", reason="diffusers is not installed")

from edit_assumption.evaluation.measures import MEASURES
from edit_assumption.evaluation.pocket_text import compared, main, ranks, spearman, table


def test_ranks_and_their_correlation_by_hand():
    assert ranks([3, 1, 1, 7]) == [3, 1.5, 1.5, 4]
    assert spearman([(1, 2), (2, 30), (3, 1)]) == pytest.approx(-0.5)  # 1 - 6 (1 + 1 + 4) / (3 (9 - 1))
    assert spearman([(1, 10), (2, 20), (5, 21)]) == pytest.approx(1) and spearman([(1, 1), (2, 1)]) is None


def test_the_table_compares_means_edits_and_everything():
    one, other = [(0.1, 0.2), (0.9, 0.3)], [(0.2, 0.5), (0.3, 0.9)]
    text = table({"efficacy": {"one": one, "other": other}})
    everything = spearman([*one, *other])
    assert fmean(pair[0] for pair in one) > fmean(pair[0] for pair in other)
    assert f"| efficacy | -1.00 | 0.00 | {everything:.2f} |" in text and "| harmonic mean | -1.00 | – | – |" in text


def test_what_changes_nothing_is_left_out():
    assert not {"unedited", "oracle"} & set(compared()) and {"TIME", "UCE", "ours", "identity"} <= set(compared())


def test_both_sides_are_measured(tmp_path, capsys):
    out = tmp_path / "pairs.json"
    few = ["--edits", "1", "--seeds", "1", "--steps", "2", "--out", str(out)]
    assert main([*few, "--method", "TIME", "--method", "words only"]) == 0
    answer = json.loads(out.read_text())
    assert list(answer["pairs"]) == list(MEASURES) and set(answer["pairs"]["efficacy"]) == {"TIME", "words only"}
    (time,), (words,) = answer["pairs"]["specificity"].values()
    assert time[0] < words[0] and all(0 <= shown <= 1 for _, shown in (time, words))
    assert "| specificity |" in capsys.readouterr().out
    assert main([*few, "--method", "nobody"]) == 2
