"""What an edit promises however it is solved, on an encoder whose every word is a direction of its own."""

import pytest
import torch
from edit_assumption.editing.assumptions import edit
from edit_assumption.editing.assumptions.context_map import ContextMap
from edit_assumption.editing.assumptions.debias import debias_recipe
from edit_assumption.editing.assumptions.edit import make_edit
from edit_assumption.editing.assumptions.moments import read_captions
from edit_assumption.editing.assumptions.reach import ordinary_reach, reach
from edit_assumption.editing.assumptions.recipe import parse_recipe
from edit_assumption.editing.encoding import Chunk, EncodedPrompt
from edit_assumption.editing.errors import EditError
from edit_assumption.editing.shares import Wanted

SUBJECT, FIRST, SECOND, OTHER, *_ = BASIS = torch.eye(8)
EMBEDDINGS = {
    "subject": SUBJECT,
    "first": FIRST,
    "second": SECOND,
    "strong": OTHER,
    "subject, hardly": OTHER + 1e-3 * SUBJECT,
    "rounding": OTHER + 1e-8 * SUBJECT,
    "used": torch.ones(8) / 8**0.5,
    "unused": (SUBJECT - FIRST) / 2**0.5,
    "target": (SECOND - OTHER) / 2**0.5,
}
PLAIN = {"regularizer": "identity", "regularization": 0.01}


def encode(prompts):
    """Every prompt is one token, without start and end."""
    return [EncodedPrompt((prompt,), (Chunk(0, range(1), 1),), EMBEDDINGS[prompt][None]) for prompt in prompts]


def meaning(recipe):
    """What the subject means after the edit, in the words of :data:`EMBEDDINGS`."""
    return make_edit(recipe, encode).context_map.apply(SUBJECT[None])[0]


@pytest.mark.parametrize("passes", [0, 1, 3])
def test_pairs_keep_their_weights_in_every_pass(passes):
    lines = f"! augmentations: none\n! passes: {passes}\nsubject -> first * 9\nsubject -> second * 1"
    means = meaning(parse_recipe(lines, **PLAIN))
    assert float(means @ FIRST) == pytest.approx(9 * float(means @ SECOND), rel=1e-5)
    assert float(means @ FIRST) > 0.5


def test_a_weight_below_0_pushes_a_subject_away_from_its_variant():
    recipe = debias_recipe(Wanted("subject", ("first", "second"), (0.5, 0.5)), (1.3, -0.3), augmentations=(), **PLAIN)
    assert torch.allclose(meaning(recipe), 1.3 * FIRST - 0.3 * SECOND, atol=0.03)


def test_weights_above_0_mix_the_variants():
    recipe = debias_recipe(Wanted("subject", ("first", "second"), (0.5, 0.5)), (0.7, 0.3), augmentations=(), **PLAIN)
    assert torch.allclose(meaning(recipe), 0.7 * FIRST + 0.3 * SECOND, atol=0.03)


def test_a_weak_direction_of_what_is_strictly_preserved_stays():
    text = "! augmentations: none\nsubject -> first\n== strong\n== subject, hardly"
    with pytest.raises(EditError, match="preserved"):
        make_edit(parse_recipe(text, **PLAIN), encode)


def test_rounding_in_what_is_strictly_preserved_is_free():
    means = meaning(parse_recipe("! augmentations: none\nsubject -> first\n== strong\n== rounding", **PLAIN))
    assert float(means @ FIRST) > 0.9


def test_a_direction_that_no_caption_uses_is_held_a_little(monkeypatch):
    """A five hundredth of the mean of all directions, so that the edit can be solved; captions use but one of eight here.

    What is left of a request is 1 / (1 + q), with q as much smaller as its source is held better.
    """
    monkeypatch.setattr(edit, "CARRIED", None)
    moment = read_captions(encode, ["used"]).whole()
    q = {}
    for source in ("used", "unused"):
        recipe = parse_recipe(f"! augmentations: none\n{source} -> target", regularizer="captions")
        before, meant = EMBEDDINGS[source], EMBEDDINGS["target"]
        after = make_edit(recipe, encode, moment=moment).context_map.apply(before[None].double())[0]
        gone = float((after - before).norm() / (meant - before).norm())
        q[source] = gone / (1 - gone)
    assert q["unused"] / q["used"] == pytest.approx((0.998 + 0.002 / 8) / (0.002 / 8), rel=5e-3)


def test_reach_is_proportional_to_the_change_in_every_precision():
    generator = torch.Generator().manual_seed(0)
    left, right, rows = (torch.randn(shape, generator=generator) for shape in ((8, 2), (2, 8), (4, 8)))
    prompt = EncodedPrompt(("a", "b", "c", "d"), (Chunk(0, range(4), 4),), rows)
    moment = (rows.T @ rows).double()
    context_map, small = ContextMap(left, right), ContextMap(1e-3 * left, right)
    assert reach(small, prompt) == pytest.approx(1e-3 * reach(context_map, prompt), rel=1e-5)
    assert reach(context_map.to(dtype=torch.float64), prompt) == pytest.approx(reach(context_map, prompt), rel=1e-5)
    assert ordinary_reach(small, moment) == pytest.approx(1e-3 * ordinary_reach(context_map, moment), rel=1e-5)
    assert ordinary_reach(ContextMap(0 * left, right), moment) == 0
