"""Edits by chance in a real A1111: every picture is that of the variant that its seed has drawn."""

import re

import pytest
from comfy_graphs import SOURCE
from edit_assumption.editing.assumptions.chance_draw import Picture, draw
from edit_assumption.editing.assumptions.recipe import parse_recipe
from webui_scenes import SCENES, skip_where_the_api_cannot_paste, with_image
from webui_server import Refused

BLUE, RED = "a pack of blue roses", "a pack of red tulips"
LINE = f"{SOURCE} -> {BLUE} | {RED}"
SEED, COUNT = 4, 4
MORE = [1.0, 0.1, "", "identity"]


def drawn(count=COUNT, line=LINE, seed=SEED):
    recipe = parse_recipe(line)
    (chance,) = recipe.chances
    rows = draw(recipe.chances, [Picture(seed + number) for number in range(count)], recipe.spread)
    return [chance.variants[own].destination for (own,) in rows]


@pytest.fixture(autouse=True)
def thin(webui):
    webui.use("thin")


def difference(one, other, row):
    return int(abs(one.levels[row] - other.levels[row]).max())


def alone(webui, variant, **scene):
    return webui.draw(edit=[f"{SOURCE} -> {variant}", *MORE], **scene)


@pytest.mark.parametrize("scene", SCENES)
def test_each_picture_is_that_of_its_variant(webui, scene):
    asked = {"seed": SEED, **with_image(webui, SCENES[scene])}
    count = asked.get("batch_size", 1)
    mixed = webui.draw(edit=[LINE, *MORE], **asked)
    written = {variant: alone(webui, variant, **asked) for variant in (BLUE, RED)}
    for row, variant in enumerate(drawn(count)):
        other = RED if variant == BLUE else BLUE
        assert difference(mixed, written[variant], row) <= 1
        assert difference(mixed, written[other], row) > 8
    assert f"Edit Assumption drew: {drawn(1)[0]}" in mixed.infotext
    assert webui.state()["hooks"] == 0


def test_a_picture_alone_is_the_one_in_the_batch(webui):
    assert len(set(drawn())) == 2  # else nothing is shown here
    batch = webui.draw(edit=[LINE, *MORE], seed=SEED, batch_size=COUNT)
    for row in range(COUNT):
        single = webui.draw(edit=[LINE, *MORE], seed=SEED + row)
        assert int(abs(batch.levels[row] - single.levels[0]).max()) <= 1
        assert f"Edit Assumption drew: {drawn()[row]}" in single.infotext


def test_several_batches_each_draw_by_their_own_seeds(webui):
    rows = webui.draw(edit=[LINE, *MORE], seed=SEED, batch_size=2, n_iter=2)
    batch = webui.draw(edit=[LINE, *MORE], seed=SEED, batch_size=COUNT)
    pictures = rows.levels[-COUNT:]
    assert int(abs(pictures - batch.levels[-COUNT:]).max()) <= 1


def test_the_negative_prompt_follows_unless_it_is_to_be_left(webui):
    both, positive = [LINE, *MORE], [f"! negative: no\n{LINE}", *MORE]
    scene = dict(negative_prompt=f"{SOURCE} in the rain", prompt="a blue sky")
    assert webui.draw(edit=positive, **scene).away(webui.draw(edit=both, **scene)) > 8
    scene["cfg_scale"] = 1
    assert webui.draw(edit=positive, **scene).away(webui.draw(edit=both, **scene)) == 0


def test_its_parameters_draw_it_again(webui):
    skip_where_the_api_cannot_paste(webui)
    first = webui.draw(edit=f"! spread: yes\n! regularizer: identity\n{LINE}", seed=11)
    assert re.search(r"Edit Assumption: .*a pack of roses", first.infotext)
    assert webui.again(first).away(first) == 0


def test_a_saved_edit_draws_too_and_is_no_lora(webui):
    asked = {"recipe": LINE, "regularizer": "identity", "name": "chance", "overwrite": True}
    assert webui.post("/edit-assumption/save", asked).status_code == 200
    named = webui.draw("a field of roses <edit:chance:1>", seed=SEED)
    assert named.away(webui.draw(edit=[LINE, *MORE], seed=SEED)) <= 1
    refused = webui.post("/edit-assumption/export", asked)
    assert refused.status_code == 422 and "no weight, LoRA, hook or conditioning can hold it" in refused.json()["detail"]


def test_what_is_wrong_is_said(webui):
    with pytest.raises(Refused, match="add up to 110 %"):
        webui.draw(edit=f"{SOURCE} -> 60% {BLUE} | 50% {RED}")
