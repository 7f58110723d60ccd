"""The benchmarks run: every promised row comes, with a number, a unit and a target that is judged the right way round."""

import json
import math
import re

import pytest
import torch
from edit_assumption.benchmarks import find_host, inputs, library, reference, rows
from edit_assumption.benchmarks.rows import Row, at_least, below
from edit_assumption.benchmarks.run import HOST_ROWS


def check(found):
    """What holds of every row, whatever the computer measures."""
    assert len({row.what for row in found}) == len(found)
    for row in found:
        assert math.isfinite(row.value) and row.value > 0, row
        assert row.unit in ("×", "MB", "") and row.details, row
        assert (row.met is None) == (row.target == ""), row
        side = re.match(r"([≥<≤]) ([\d.,e-]+)", row.target)
        if side:
            aim = float(side[2].replace(",", ""))
            assert row.met == (row.value >= aim if side[1] == "≥" else row.value <= aim), row
            assert row.target.endswith(row.unit) or "," in row.target or "(" in row.target, row


@pytest.fixture
def small(monkeypatch):
    """A hundredth of the size, so that all that is measured is measured here, too."""
    weights = [torch.randn(8, inputs.WIDTH, generator=torch.Generator().manual_seed(number)) for number in range(2)]
    monkeypatch.setattr(inputs, "projections", lambda: weights)
    monkeypatch.setattr(
        library, "alternate", lambda rounds, *functions, warm=False: [float(n + 1) for n in range(len(functions))]
    )


def test_solve_and_apply_divides_theirs_by_ours(small):
    found = library.solve_and_apply(True)
    check(found)
    # ours, ours on trained tokens, written out, in place, products, two solves take 1, 2, … seconds
    ratios = [row.value for row in found if row.unit == "×"]
    assert ratios == [3 / 1, 4 / 1, 5 / 1, 3 / 2, 4 / 2]
    assert [row.target for row in found if row.unit == "×"] == ["≥ 100×", "", "", "≥ 250×", "≥ 9×"]
    exact, seen = (row for row in found if row.unit == "")
    assert exact.met and exact.value < 1e-5 and seen.met


@pytest.fixture(scope="module")
def moment():
    return inputs.moment()


def test_memory_is_that_of_map_and_sample(moment):
    found = library.memory(moment)
    check(found)
    assert found[0].met and found[0].target == "< 1 MB" and found[1].met
    map_of, sample = (float(number) for number in re.findall(r"([\d.]+) MB", found[0].details))
    assert found[0].value == pytest.approx(map_of + sample, abs=0.02)


def test_captions_cost_a_ratio(moment):
    assert moment.shape == (inputs.WIDTH, inputs.WIDTH)
    row = library.with_captions(True, moment)
    check([row])
    assert row.unit == "×"


def test_many_pairs_say_how_many_tokens_they_have(monkeypatch):
    monkeypatch.setattr(library, "alternate", lambda rounds, function, warm=False: [0.5] if function() else [])
    monkeypatch.setattr(inputs, "synthetic_recipe", lambda pairs, recipe=inputs.synthetic_recipe: recipe(min(pairs, 2)))
    found = list(library.many_pairs(False, torch.eye(inputs.WIDTH).double()))
    check([row for row in found if row.unit == "×"])
    assert [row.what.split(" pairs")[0] for row in found] == ["10", "100", "1,000", "1,000", "memory for 1,000"]
    assert [row.target for row in found] == ["", "", "", "< 12×", "< 1000 MB"]


def test_the_trained_tokens_keep_their_geometry():
    """Turned into a larger width, tokens have the lengths and angles that the bundled model gives them."""
    from edit_assumption.pipelines.encoder import PipelineEncoder
    from edit_assumption.pocket.model import pipeline

    (plain,), (wide,) = PipelineEncoder(pipeline())(["a rose"]), inputs.trained_encode(["a rose"])
    length = len(plain.tokens)
    assert wide.embeddings.shape == (inputs.LENGTH, inputs.WIDTH)
    gram, expected = (rows @ rows.T for rows in (wide.embeddings[:length], plain.embeddings))
    assert torch.allclose(gram, expected, rtol=1e-3, atol=1e-2)
    assert torch.equal(wide.embeddings[length], wide.embeddings[-1])


def test_every_yardstick_is_the_papers_equation():
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(3, 16, generator=generator)]
    source, destination = ([torch.randn(5, 16, generator=generator) for _ in range(4)] for _ in range(2))
    best = reference.optimum(weights, source, destination, 0.1)
    for edit in (reference.edit_plainly, reference.edit_in_place, reference.edit_with_products):
        assert 0 < reference.distance(weights, edit(weights, source, destination, 0.1), best) < 1e-3
    assert reference.distance(weights, weights, best) == pytest.approx(1)


def test_targets_are_judged_the_right_way_round():
    assert [at_least(2, "a", value, "").met for value in (1.9, 2.0, 2.1)] == [False, True, True]
    assert [below(2, "a", value, "MB", "").met for value in (1.9, 2.0, 2.1)] == [True, False, False]
    assert at_least(9, "a", 10, "").target == "≥ 9×" and below(1, "a", 0.5, "MB", "").target == "< 1 MB"
    assert below(1, "a", 0.5, "", "").target == "< 1" and below(1, "a", 0.5, "", "", "less").target == "less"


def test_a_table_says_what_was_met():
    table = rows.markdown([at_least(2, "one", 3, "d"), below(2, "two", 3, "MB", "d"), Row("three", None, "×", "no host")])
    assert "| one | 3.00× | ≥ 2×, met | d |" in table
    assert "| two | 3.00 MB | < 2 MB, **not met** | d |" in table
    assert "| three | skipped | none | no host |" in table


def test_comfyuis_rows_come_from_the_node_with_its_default_settings(comfy, full_checkpoint):
    measured = find_host.run_host(comfy.folder, comfy.base / "output/checkpoints" / full_checkpoint, quick=True)
    found = [Row(**row) for row in json.loads(json.dumps(measured["rows"]))]
    assert [row.what for row in found] == list(HOST_ROWS)
    check(found)
