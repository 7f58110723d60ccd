"""A concept edit as a whole: both stages, what it is put on, its file, its LoRA, its preview, and what is said of it."""

import json
from dataclasses import replace

import pytest
import torch
from concept_towers import keys_and_stream, new_model, tokenize, tower_of
from edit_assumption.editing.concepts.concept_edit import (
    ConceptEdit,
    ValueSearch,
    changed_tower,
    find_concept_values,
    left_undone,
    make_concept_edit,
    write_concept_values,
)
from edit_assumption.editing.concepts.concept_file import contents, read_contents
from edit_assumption.editing.concepts.concept_lines import TEMPLATES, Concept
from edit_assumption.editing.concepts.concept_lora import concept_family, concept_lora_tensors
from edit_assumption.editing.concepts.concept_preview import preview_concepts
from edit_assumption.editing.concepts.concept_recipe import ConceptRecipe, parse_concept_recipe
from edit_assumption.editing.concepts.concept_report import describe_concepts, statistics_remarks
from edit_assumption.editing.concepts.following import following
from edit_assumption.editing.concepts.hooks import AddedProduct
from edit_assumption.editing.concepts.sentences import sentences_of
from edit_assumption.editing.concepts.statistics import Statistics, caption_statistics
from edit_assumption.editing.concepts.text_encoder import TextEncoder
from edit_assumption.editing.concepts.tower import Tower, below_text_model, default_layers, layers_of
from edit_assumption.editing.concepts.update import solve_layer, write_shifts
from edit_assumption.editing.concepts.value_file import value_names
from edit_assumption.editing.concepts.values import Values, ValueSettings, find_values
from edit_assumption.editing.edit_file import load_edit, read_header, save_edit
from edit_assumption.editing.encoder_identity import EncoderIdentity
from edit_assumption.editing.errors import EditError

WIDTH = 16
RECIPE = ConceptRecipe((Concept("rose", "tulip"), Concept("cat", "")), 0.25, ("a {}", "a photo of a {}"), (2, 3))
CAPTIONS = [f"a {look} {thing}" for look in ("red", "blue", "green") for thing in ("apple", "dog", "house", "monster")]
FEW = ValueSettings(steps=2)


@pytest.fixture(scope="module")
def encoders():
    return [
        TextEncoder("clip_l", tower_of(new_model(WIDTH)), tokenize),
        TextEncoder("clip_g", tower_of(new_model(2 * WIDTH, seed=1)), tokenize),
    ]


@pytest.fixture(scope="module")
def statistics(encoders):
    return {encoder.name: caption_statistics(encoder.tower, tokenize, CAPTIONS, (2, 3)) for encoder in encoders}


@pytest.fixture(scope="module")
def edit(encoders, statistics):
    return make_concept_edit(RECIPE, encoders, statistics, ValueSearch(FEW))


def test_both_stages_for_each_encoder_by_itself(edit, encoders, statistics):
    assert edit.recipe == RECIPE and list(edit.changes) == list(edit.encoders) == ["clip_l", "clip_g"]
    left = []
    for encoder in encoders:
        tower, sentences = encoder.tower, sentences_of(RECIPE.concepts, tokenize, RECIPE.templates)
        found = find_values(tower, sentences, 3, FEW)
        moments, width = statistics[encoder.name].moments(), tower.key_width
        direct = write_shifts(tower, sentences, found.shifts, moments, 0.25 * width, [2, 3])
        assert list(edit.changes[encoder.name]) == [2, 3]
        for layer, (up, down) in edit.changes[encoder.name].items():
            expected = direct.changes[layer][0] @ direct.changes[layer][1]
            assert up.dtype == down.dtype == torch.float32
            assert up.shape[1] == len(down) == {2: 2, 3: 4}[layer]  # two concepts, in the end in two sentences each
            assert float((up @ down - expected).norm()) < 1e-5 * float(expected.norm())
        left.append(found.after / found.before)
        identity = edit.encoders[encoder.name]
        ids = torch.tensor([tokenize(["a rose"])[0].ids])
        assert identity.prompt == "a rose"
        assert torch.allclose(identity.embeddings, tower.run(tower.embed(ids), 0, 4)[0, :16], atol=1e-6)
    assert edit.left == pytest.approx(torch.stack(left).mean(0).tolist()) and edit.rank == 4


def test_the_residual_is_written_layer_by_layer(encoders, statistics):
    """Against the formula itself: with D k for what a layer lacks of the value, over the layers that are left."""
    tower, sentences = encoders[0].tower, sentences_of(RECIPE.concepts, tokenize, RECIPE.templates)
    shifts = torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    told = []
    changed = write_shifts(tower, sentences, shifts, statistics["clip_l"].moments(), 2.0, [2, 3], lambda: told.append(1))
    direct = tower
    values = keys_and_stream(tower, sentences, [], 3)[1] + shifts[[0, 0, 1, 1]]
    for layer, left in ((2, 2), (3, 1)):
        keys, stream = keys_and_stream(direct, sentences, [layer], 3)
        keys, missing = keys[layer], (values - stream) / left
        total, count = statistics["clip_l"].sums[layer], statistics["clip_l"].tokens
        moment = total / count
        moment = 0.999 * moment + 0.001 * torch.eye(len(moment)) * moment.trace() / len(moment)
        share = 0.5  # of each of a concept's two sentences
        system = 2.0 * moment + share * keys.T @ keys
        change = torch.linalg.solve(system, share * keys.T @ missing).T
        up, down = changed.changes[layer]
        assert up.dtype == down.dtype == torch.float32
        assert float(((up @ down).double() - change).norm() / change.norm()) < 1e-3
        direct = direct.changed(layer, change.float(), torch.eye(change.shape[1]))
    assert len(told) == 2


def test_how_far_a_search_has_come_is_told(encoders, statistics, tmp_path):
    told, kept = [], ValueSearch(FEW, folder=tmp_path)
    make_concept_edit(RECIPE, encoders, statistics, kept, lambda *done: told.append(done))
    assert told[0] == (0, 4) and (2, 4) in told and told[-2:] == [(4, 4)] * 2 and told == sorted(told)
    assert len(list(tmp_path.iterdir())) == 4
    again = []
    make_concept_edit(RECIPE, encoders, statistics, kept, lambda *done: again.append(done))
    assert again[0] == (2, 4)  # the first encoder's two are known
    find_concept_values(RECIPE, encoders, replace(kept, teacher="another"))
    assert len(list(tmp_path.iterdir())) == 8
    find_concept_values(replace(RECIPE, layers=(1, 2)), encoders, kept)
    assert len(list(tmp_path.iterdir())) == 12
    find_concept_values(replace(RECIPE, layers=(3,)), encoders, kept)  # whose last layer is known
    assert len(list(tmp_path.iterdir())) == 12


def test_an_edit_of_one_layer_with_a_concept_everywhere(encoders, statistics):
    """What follows the subject is written with it, of the concepts that ask for it alone."""
    recipe = replace(RECIPE, concepts=(Concept("rose", "tulip", everywhere=True), Concept("cat", "")), layers=(3,))
    edit = make_concept_edit(recipe, encoders, statistics, ValueSearch(FEW))
    for encoder in encoders:
        tower, sentences = encoder.tower, sentences_of(recipe.concepts, tokenize, recipe.templates)
        shifts, moments = find_values(tower, sentences, 3, FEW).shifts, statistics[encoder.name].moments()
        behind = following(tower, sentences.of(torch.tensor([0])), 3)
        direct = write_shifts(tower, sentences, shifts, moments, 0.25 * tower.key_width, [3], behind=behind)
        (up, down), expected = edit.changes[encoder.name][3], direct.changes[3][0] @ direct.changes[3][1]
        assert float((up @ down - expected).norm()) < 1e-5 * float(expected.norm())
        assert edit.encoders[encoder.name].distance(lambda prompts: encoder.encode(prompts, 4)) == 0  # noqa: B023


def test_each_encoder_has_a_teacher_and_a_search_of_its_own(encoders, statistics):
    calls = []

    def search(tower, sentences, last, settings, distill, advance, store):
        calls.append((tower.width, last, settings, distill, len(store.names)))
        return find_values(tower, sentences, last, settings)

    def teacher(part, edited, meant, step):
        return edited.mean((1, 2))

    teachers = {"clip_l": teacher, "clip_g": lambda *_: None}
    make_concept_edit(RECIPE, encoders, statistics, ValueSearch(FEW, teachers, search=search))
    assert calls == [(WIDTH, 3, FEW, teachers["clip_l"], 2), (2 * WIDTH, 3, FEW, teachers["clip_g"], 2)]
    calls.clear()
    found = find_concept_values(RECIPE, encoders, ValueSearch(FEW, search=search))
    assert [call[3] for call in calls] == [None, None] and set(found) == {"clip_l", "clip_g"}


def test_statistics_of_other_layers_are_refused_before_the_search(encoders, statistics):
    def search(*_):
        raise AssertionError

    recipe = replace(RECIPE, layers=(1, 3))
    with pytest.raises(EditError) as caught:
        make_concept_edit(recipe, encoders, statistics, ValueSearch(search=search))
    assert str(caught.value) == "The statistics have no layer 1; compute them for this encoder and these layers."
    with pytest.raises(EditError, match="no layer 1"):
        write_concept_values(recipe, encoders, statistics, {entry.name: None for entry in encoders})


def values_of(encoders, shift=0.0):
    return {
        entry.name: Values(torch.full((2, entry.tower.width), shift).double(), torch.ones(2), torch.ones(2), torch.ones(2))
        for entry in encoders
    }


def test_an_edit_that_changes_nothing_is_refused(encoders, statistics):
    with pytest.raises(EditError) as caught:
        write_concept_values(RECIPE, encoders, statistics, values_of(encoders))
    assert str(caught.value) == ("The edit would change nothing: sources and destinations read the same to this text encoder.")
    halves = values_of(encoders, 1.0) | {"clip_l": values_of(encoders)["clip_l"]}
    halves["clip_g"] = replace(halves["clip_g"], after=torch.tensor([0.2, 0.4]))
    written = write_concept_values(RECIPE, encoders, statistics, halves)
    assert written.left == pytest.approx(((1 + 0.2) / 2, (1 + 0.4) / 2))  # the mean over both
    for up, down in written.changes["clip_l"].values():
        assert up.shape == (WIDTH, 1) and down.shape == (1, 4 * WIDTH) and not up.any()


def test_an_edit_on_top_of_another_is_what_it_adds(encoders, statistics):
    first = torch.randn(WIDTH, 3) * 0.1, torch.randn(3, 4 * WIDTH)
    under = [replace(encoders[0], tower=encoders[0].tower.changed(3, *first))]
    written = write_concept_values(RECIPE, under, statistics, values_of(under, 1.0))
    sentences = sentences_of(RECIPE.concepts, tokenize, RECIPE.templates)
    shifts = torch.ones(2, WIDTH).double()
    after = write_shifts(under[0].tower, sentences, shifts, statistics["clip_l"].moments(), 0.25 * 4 * WIDTH, [2, 3])
    for layer, known in ((2, 0.0), (3, first[0] @ first[1])):
        up, down = written.changes["clip_l"][layer]
        assert torch.allclose(up @ down, after.changes[layer][0] @ after.changes[layer][1] - known, atol=1e-4)
        assert up.shape[1] <= 4


def test_strength_and_rank(edit):
    half = edit.scale(0.5)
    for name, layers in edit.changes.items():
        for layer, (up, down) in layers.items():
            assert torch.equal(half.changes[name][layer][0], 0.5 * up) and torch.equal(half.changes[name][layer][1], down)
    assert (half.recipe, half.encoders, half.left) == (edit.recipe, edit.encoders, edit.left)
    again = edit.restated(0.5)
    assert edit.restated(1) is edit and torch.equal(again.changes["clip_g"][3][0], half.changes["clip_g"][3][0])
    wide = replace(edit, changes={"clip_l": {2: (torch.ones(4, 2), torch.ones(2, 4)), 3: (torch.ones(4, 7), torch.ones(7, 4))}})
    assert wide.rank == 7


def test_the_edit_on_its_encoders(edit, encoders):
    for before, after in zip(encoders, edit.edited(encoders), strict=True):
        assert after.tower.changes == edit.changes[before.name] and (after.name, after.tokenize) == (before.name, tokenize)
        assert after.tower.weights is before.tower.weights and not before.tower.changes
        one = changed_tower(before.tower, {2: edit.changes[before.name][2]})
        assert list(one.changes) == [2]


def away(edit, share, name="clip_l"):
    """The edit of an encoder whose every number is ``share`` of its size away."""
    known = edit.encoders[name]
    moved = EncoderIdentity(known.prompt, known.embeddings * (1 + share))
    return replace(edit, encoders={**edit.encoders, name: moved})


def test_an_edit_knows_its_encoders(edit, encoders):
    assert edit.check_encoders(encoders) == "" == edit.check_encoders(encoders[::-1])
    assert away(edit, 0.015).check_encoders(encoders) == ""
    for name in edit.encoders:
        assert away(edit, 0.1, name).check_encoders(encoders) == (
            "made with a related text encoder (9% away); make it again from its lines for full effect"
        )
    shallow = replace(encoders[0], tower=replace(encoders[0].tower, depth=3))
    exactly = replace(encoders[0], tower=replace(encoders[0].tower, depth=4))
    assert edit.check_encoders([exactly, encoders[1]]) == ""
    alone = replace(edit, changes={"clip_l": edit.changes["clip_l"]}, encoders={"clip_l": edit.encoders["clip_l"]})
    assert alone.check_encoders(encoders[:1]) == ""
    for wrong, given in (
        (away(edit, 0.5), encoders),
        (away(edit, float("nan")), encoders),
        (edit, encoders[:1]),
        (edit, [shallow, encoders[1]]),
        (alone, encoders),
        (edit, [replace(encoders[0], name="clip_h"), encoders[1]]),
    ):
        with pytest.raises(EditError) as caught:
            wrong.check_encoders(given)
        assert str(caught.value) == (
            "This edit changes another text encoder than this one; connect the CLIP it was made with, or make the edit again "
            "from its lines."
        )


def test_an_encoder_reads_its_prompts(encoders):
    encoder, prompts = encoders[0], ["a rose", "a photo of a cat"]
    ids = torch.tensor([entry.ids for entry in tokenize(prompts)])
    stream = encoder.tower.embed(ids)
    for layers, expected in ((None, encoder.tower.finish(stream, 0)), (2, encoder.tower.run(stream, 0, 2)), (0, stream)):
        for found, entry, row in zip(encoder.encode(prompts, layers), tokenize(prompts), expected, strict=True):
            assert found.tokens == entry.pieces and found.words == list(entry.words) and found.chunks[0].start == 0
            assert found.chunks[0].stop == 77 and torch.allclose(found.embeddings, row, atol=1e-6)
            assert not found.embeddings.requires_grad
    assert torch.equal(encoder.identity("a rose", 2).embeddings, encoder.encode(["a rose"], 2)[0].embeddings[:16])


class OpenFile(dict):
    def get_tensor(self, name):
        return self[name]


def test_the_files_contents(edit):
    tensors, header = contents(edit)
    assert header == {
        "kind": "concepts",
        "recipe": RECIPE.to_json(),
        "recipe_text": RECIPE.to_text(),
        "family": "clip_l, clip_g",
        "encoder_prompt": "a rose",
        "left": json.dumps(edit.left),
    }
    assert set(tensors) == {
        f"{name}.{part}" for name in edit.changes for part in ("encoder", "2.up", "2.down", "3.up", "3.down")
    }
    assert torch.equal(tensors["clip_g.encoder"], edit.encoders["clip_g"].embeddings)
    assert torch.equal(tensors["clip_g.3.up"], edit.changes["clip_g"][3][0])
    shuffled = OpenFile(sorted(tensors.items(), reverse=True))
    back = read_contents(shuffled, header)
    assert list(back.changes) == ["clip_l", "clip_g"] and list(back.changes["clip_g"]) == [2, 3] and back.left == edit.left
    older = read_contents(shuffled, header | {"left": "0.25"})
    assert older.left == (0.25, 0.25) and read_contents(shuffled, header | {"left": "[0.5, null]"}).left == (0.5, None)
    with pytest.raises(ValueError, match=r"^as much is left as there are concepts$"):
        read_contents(shuffled, header | {"left": "[0.5]"})
    half = OpenFile({key: tensor.bfloat16() for key, tensor in tensors.items()})
    assert {tensor.dtype for layers in read_contents(half, header).changes.values() for pair in layers.values()
            for tensor in pair} == {torch.float32}  # fmt: skip


def test_a_file_gives_the_edit_back(edit, encoders, tmp_path):
    save_edit(edit, tmp_path / "edit.safetensors", {"workflow": "{}"})
    back = load_edit(tmp_path / "edit.safetensors")
    assert read_header(tmp_path / "edit.safetensors")["format_version"] == "2"
    assert isinstance(back, ConceptEdit) and (back.recipe, back.left) == (edit.recipe, edit.left)
    for name, layers in edit.changes.items():
        assert back.encoders[name].prompt == "a rose"
        for layer, pair in layers.items():
            assert all(torch.equal(ours, theirs) for ours, theirs in zip(back.changes[name][layer], pair, strict=True))
    assert back.check_encoders(encoders) == ""


@pytest.mark.parametrize(
    ("key", "tensor"),
    [
        ("clip_x.2.up", torch.ones(2, 2)),
        ("clip_l.2.up", torch.ones(WIDTH)),
        ("clip_l.2.up", torch.ones(WIDTH, 5)),
        ("clip_l.2.down", torch.ones(4)),
        ("clip_l.2.up", torch.full((WIDTH, 2), float("nan"))),
        ("clip_l.2.down", torch.full((2, 4 * WIDTH), float("inf"))),
        ("clip_l.2.up", None),
        ("clip_l.encoder", None),
        ("clip_h.encoder", torch.ones(2, 2)),
        ("clip_l.2.up.more", torch.ones(2, 2)),
    ],
)
def test_damaged_files_are_refused(edit, tmp_path, key, tensor):
    tensors, header = contents(edit)
    changed = {**tensors, key: tensor}
    with pytest.raises((ValueError, KeyError)) as caught:
        read_contents(OpenFile({name: value for name, value in changed.items() if value is not None}), header)
    if "clip_x" in key:
        assert str(caught.value) == "the text encoder clip_x is not known"
    elif tensor is None and "up" in key:
        assert str(caught.value) == "'up'"
    elif "more" not in key:
        assert str(caught.value) == "tensors do not fit each other"


def test_a_file_without_changes_is_refused(edit):
    with pytest.raises(ValueError, match="tensors do not fit each other"):
        read_contents(OpenFile(), contents(edit)[1])


def test_a_lora_has_the_factors_as_they_stand(edit):
    found = concept_lora_tensors(edit)
    names = [f"lora_te{n}_text_model_encoder_layers_{layer}_mlp_fc2" for n in (1, 2) for layer in (2, 3)]
    assert set(found) == {f"{name}.{part}" for name in names for part in ("lora_up.weight", "lora_down.weight", "alpha")}
    up, down = edit.changes["clip_g"][3]
    assert torch.equal(found[f"{names[3]}.lora_up.weight"], up) and torch.equal(found[f"{names[3]}.lora_down.weight"], down)
    assert float(found[f"{names[3]}.alpha"]) == 4 and found[f"{names[3]}.lora_up.weight"].dtype == torch.float32
    alone = concept_lora_tensors(replace(edit, changes={"clip_g": edit.changes["clip_g"]}), dtype=torch.bfloat16)
    assert all(name.startswith("lora_te_text_model") for name in alone)
    assert alone["lora_te_text_model_encoder_layers_3_mlp_fc2.lora_up.weight"].dtype == torch.bfloat16
    small = concept_lora_tensors(edit, 0.5)
    ranks = [len(small[f"{name}.lora_down.weight"]) for name in names]
    assert max(ranks) < 4
    for name, (up, down) in zip(names, (pair for layers in edit.changes.values() for pair in layers.values()), strict=True):
        product = small[f"{name}.lora_up.weight"] @ small[f"{name}.lora_down.weight"]
        assert 0 < float((product - up @ down).norm()) <= 0.5 * float((up @ down).norm())


@pytest.mark.parametrize(("widths", "family"), [((768,), "SD 1.x"), ((1024,), "SD 2.x"), ((768, 1280), "SDXL")])
def test_a_lora_is_for_what_reads_the_encoders_together(edit, widths, family):
    names = ("clip_l", "clip_g")
    layers = {name: {2: (torch.ones(width, 1), torch.ones(1, 3))} for name, width in zip(names, widths, strict=False)}
    assert concept_family(replace(edit, changes=layers)).name == family


def test_a_preview_reads_before_and_after(edit, encoders):
    found = preview_concepts(edit, encoders, ["red roses", "red roses"], ["a house", "a dog"])
    assert [(pair.source, pair.destination) for pair in found.aligned] == [("a rose", "a tulip"), ("a cat", "a")]
    assert found.aligned[0].words == (("a", "a"), ("rose", "tulip"), ("(end)", "(end)"))

    def moved(prompt):
        (entry,) = tokenize([prompt])
        stop = entry.words.stop + 1
        change = size = 0.0
        for before, after in zip(encoders, edit.edited(encoders), strict=True):
            old, new = (each.encode([prompt])[0].embeddings[1:stop] for each in (before, after))
            change, size = change + (new - old).square().sum(), size + old.square().sum()
        return pytest.approx(float(change / size) ** 0.5, rel=1e-4)

    assert found.sources == {"a rose": moved("a rose"), "a cat": moved("a cat")}
    assert found.related == {"red roses": moved("red roses")}
    assert found.unrelated == {"a house": moved("a house"), "a dog": moved("a dog")}
    up, down = edit.changes["clip_l"][3]
    assert torch.allclose(found.spectrum, torch.linalg.svdvals((up @ down).double())[:4], rtol=1e-4)
    assert found.spectrum.dtype == torch.float64 and found.spectrum_of == "the change of clip_l's layer 3"
    half = preview_concepts(edit.scale(0.5), encoders)
    assert torch.allclose(half.spectrum, 0.5 * found.spectrum, rtol=1e-4)
    to_its_end = " ".join(["rose"] * 75)
    assert preview_concepts(edit, encoders, [to_its_end]).related == {to_its_end: moved(to_its_end)}
    assert preview_concepts(edit, encoders).related == preview_concepts(edit, encoders).unrelated == {}
    with pytest.raises(EditError, match="another text encoder"):
        preview_concepts(edit, encoders[:1])


def test_what_an_edit_did_is_said(edit):
    assert describe_concepts(replace(edit, left=(0.1234, 0.1234)), ["in 2 s"]) == (
        "rose → tulip\ncat → (forgotten)\nclip_l layers 2, 3; clip_g layers 2, 3, rank 4\n"
        "left undone of what the model reads: 12 %\nin 2 s"
    )
    uneven = describe_concepts(replace(edit, left=(0.1, 0.5)))
    assert uneven.count("\n") == 3 and uneven.endswith("model reads: 30 %, at most 50 % (“cat”)")
    nothing = describe_concepts(replace(edit, left=(None, 0.5)))
    assert nothing.endswith("model reads: 50 %\nnothing to do: “rose” reads as its destination already")
    for mode, words in (("text", "the text says"), ("full", "the model predicts")):
        assert f"left undone of what {words}: " in describe_concepts(replace(edit, recipe=replace(RECIPE, mode=mode)))
    many = tuple(Concept(f"thing {number}", "rose") for number in range(5))
    names = describe_concepts(replace(edit, recipe=replace(RECIPE, concepts=many), left=(0.5,) * 5)).split("\n")[:4]
    assert names == ["thing 0 → rose", "thing 1 → rose", "thing 2 → rose", "and 2 more"]
    three = describe_concepts(replace(edit, recipe=replace(RECIPE, concepts=many[:3]), left=(0.5,) * 3))
    assert "more" not in three


def test_what_pictures_gained_does_not_hide_what_others_lack(edit):
    """By hand: a loss by pictures is 1 less what was gained, may be far below 0, and is told apart."""
    recipe = parse_concept_recipe("rose -> tulip\ncat -> [pictures]\ndoctor -> woman | man\nstar -> [pictures]", mode="full")

    def found(after, before=(1, 1, 1, 1, 1)):
        return Values(torch.zeros(5, 1), torch.tensor(before).float(), torch.tensor(after), torch.ones(5))

    left = left_undone(recipe, [found([0.9, -3.0, 0.2, 0.6, 1.0]), found([0.7, -1.0, 0.4, 0.8, 1.0])])
    assert left == pytest.approx((0.8, -2.0, 0.5, 1.0))
    said = describe_concepts(replace(edit, recipe=recipe, left=left)).split("\n")[-3:]
    assert said == [
        "left undone of what the model predicts: 65 %, at most 80 % (“rose”)",
        "nearer to your pictures, relative to what the text tells: cat 300 %, star 0 %",
        "Warning: “star” came no nearer to your pictures; give more, or write before [pictures] what they show.",
    ]
    assert left_undone(recipe, [found([0.1, 0.0, 0.0, 0.3, 0.25], (0, 1, 0, 0.5, 0.5))]) == pytest.approx((None, 0.0, 0.6, 0.5))
    alone = replace(edit, recipe=replace(recipe, concepts=recipe.concepts[1:2]), left=(-2.0,))
    assert "left undone" not in describe_concepts(alone)
    assert "Warning" not in describe_concepts(replace(alone, left=(0.5,)))


def test_thin_statistics_are_warned_of():
    thin = Statistics({1: torch.eye(8)}, 2, 3.0, 7)
    assert statistics_remarks({"clip_l": thin, "clip_g": replace(thin, distinct=8)}) == [
        "Warning: clip_l was read in 7 different places, fewer than the 8 numbers of a key, so little is held in place; "
        "give more captions."
    ]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_the_hook_adds_the_product_in_float32(dtype):
    generator = torch.Generator().manual_seed(0)
    up, down, x = (torch.randn(shape, generator=generator) for shape in ((6, 2), (2, 8), (3, 5, 8)))
    layer = torch.nn.Linear(8, 6).to(dtype)
    plain = layer(x.to(dtype))
    layer.register_forward_hook(AddedProduct(up.double(), down.double()))
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        found = layer(x.to(dtype))
    exact = plain.double() + x.to(dtype).double() @ down.double().T @ up.double().T
    assert found.dtype == dtype
    step = torch.finfo(dtype).eps if dtype != torch.float32 else 0.0
    assert ((found.double() - exact).abs() <= 0.51 * step * exact.abs() + 1e-5).all()


def test_a_towers_name_changes_with_all_that_it_does(encoders):
    tower = encoders[0].tower
    up, down = torch.ones(WIDTH, 1), torch.ones(1, 4 * WIDTH)
    moved = {**tower.weights, "final_layer_norm.bias": tower.weights["final_layer_norm.bias"] + 1}
    renamed = {("other" if name == "final_layer_norm.bias" else name): entry for name, entry in tower.weights.items()}
    towers = [
        tower,
        replace(tower, heads=2),
        replace(tower, activation="gelu"),
        replace(tower, depth=5),
        replace(tower, final_norm=False),
        replace(tower, weights=moved),
        replace(tower, weights=renamed),
        tower.changed(2, up, down),
        tower.changed(3, up, down),
        tower.changed(3, 2 * up, down),
        tower.changed(3, up, 2 * down),
    ]
    assert len({entry.digest for entry in towers}) == len(towers)
    assert tower.changed(2, up, down).changed(3, up, down).digest == tower.changed(3, up, down).changed(2, up, down).digest
    backwards = dict(reversed(list(tower.weights.items())))
    assert replace(tower, weights=backwards).digest == tower.digest
    assert (tower.width, tower.key_width) == (WIDTH, 4 * WIDTH)


def test_layers_that_are_edited():
    assert [default_layers(depth) for depth in (1, 4, 5, 6, 12, 23, 24, 32)] == [
        (0,), (0,), (2, 3), (3, 4), (7, 8, 9, 10), tuple(range(14, 22)), tuple(range(15, 23)), tuple(range(20, 31))
    ]  # fmt: skip


def test_layers_that_are_chosen(encoders):
    tower = encoders[0].tower
    assert layers_of(tower, ()) == default_layers(6) and layers_of(tower, [5, 0, 5]) == (0, 5)
    for wrong in ((6,), (-1, 2)):
        with pytest.raises(EditError) as caught:
            layers_of(tower, wrong)
        assert str(caught.value) == f"The text encoder has the layers 0 to 5, so these cannot be edited: {wrong}."


def test_weights_by_their_names_below_the_text_model():
    weights = {"a.text_model.b.text_model.c": torch.ones(2).half().requires_grad_(True), "other": torch.ones(1)}
    found = below_text_model(weights)
    assert list(found) == ["b.text_model.c"] and found["b.text_model.c"].dtype == torch.float32
    assert not found["b.text_model.c"].requires_grad


def test_an_encoder_that_is_not_clips_is_refused(encoders):
    tower = encoders[0].tower
    for missing in ("embeddings.token_embedding.weight", "encoder.layers.5.mlp.fc2.weight"):
        with pytest.raises(EditError) as caught:
            replace(tower, weights={name: entry for name, entry in tower.weights.items() if name != missing})
        assert str(caught.value) == (
            "This text encoder is not shaped like CLIP's; connect the CLIP of an SD 1.x, SD 2.x or SDXL checkpoint."
        )
    with pytest.raises(EditError) as caught:
        replace(tower, activation="relu")
    assert str(caught.value) == "The text encoder's activation “relu” is not known."


def test_the_tower_with_gelu_and_another_eps(encoders):
    """A layer of one head by hand."""
    generator = torch.Generator().manual_seed(0)
    shapes = {"self_attn.q_proj": (4, 4), "self_attn.k_proj": (4, 4), "self_attn.v_proj": (4, 4), "self_attn.out_proj": (4, 4),
              "mlp.fc1": (8, 4), "mlp.fc2": (4, 8), "layer_norm1": (4,), "layer_norm2": (4,)}  # fmt: skip
    weights = {"embeddings.token_embedding.weight": torch.randn(9, 4, generator=generator)}
    weights["embeddings.position_embedding.weight"] = torch.randn(5, 4, generator=generator)
    for name, shape in shapes.items():
        weights[f"encoder.layers.0.{name}.weight"] = torch.randn(shape, generator=generator)
        weights[f"encoder.layers.0.{name}.bias"] = torch.randn(shape[0], generator=generator)
    weights["final_layer_norm.weight"], weights["final_layer_norm.bias"] = torch.randn(2, 4, generator=generator)
    tower = Tower(weights, 1, "gelu", 1, eps=0.5)

    def norm(x, name):
        x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 0.5).sqrt()
        return x * weights[name + ".weight"] + weights[name + ".bias"]

    def linear(x, name):
        return x @ weights[f"encoder.layers.0.{name}.weight"].T + weights[f"encoder.layers.0.{name}.bias"]

    ids = torch.tensor([[3, 1, 4]])
    x = weights["embeddings.token_embedding.weight"][ids[0]] + weights["embeddings.position_embedding.weight"][:3]
    assert torch.equal(tower.embed(ids)[0], x)
    normed = norm(x, "encoder.layers.0.layer_norm1")
    query, key, value = (linear(normed, f"self_attn.{name}_proj") for name in "qkv")
    scores = (query @ key.T / 2).masked_fill(torch.ones(3, 3).triu(1).bool(), -torch.inf)
    x = x + linear(scores.softmax(-1) @ value, "self_attn.out_proj")
    hidden = torch.nn.functional.gelu(linear(norm(x, "encoder.layers.0.layer_norm2"), "mlp.fc1"))
    x = x + linear(hidden, "mlp.fc2")
    assert torch.allclose(tower.finish(tower.embed(ids), 0)[0], norm(x, "final_layer_norm"), atol=1e-4)
    assert torch.allclose(replace(tower, final_norm=False).finish(tower.embed(ids), 0)[0], x, atol=1e-4)


def test_sentences_of_the_second_stage():
    keys, residual, moment = torch.eye(2), torch.eye(2), torch.eye(2)
    for arguments, sentence in (
        ((keys, residual, moment, 0.0), "The regularization is 0; give a number greater than 0."),
        ((keys, residual, -moment, 1.0),
         "The edit cannot be solved: raise the regularization, or compute the statistics from more captions."),
        ((keys, residual * float("inf"), moment, 1.0), "The edit is not finite; raise the regularization."),
    ):  # fmt: skip
        with pytest.raises(EditError) as caught:
            solve_layer(*arguments)
        assert str(caught.value) == sentence


def test_statistics_without_a_part_of_them():
    whole = Statistics({1: torch.full((2, 2), 5.0)}, 7, 9.0, 4)
    left = whole.without(Statistics({1: torch.full((2, 2), 2.0)}, 3, 4.0, 2))
    assert left == Statistics({1: left.sums[1]}, 4, 5.0, 4) and torch.equal(left.sums[1], torch.full((2, 2), 3.0))
    with pytest.raises(EditError) as caught:
        Statistics({1: torch.eye(2)}).moments()
    assert str(caught.value) == "The statistics are of no caption; compute them from some."
    moment = Statistics({1: torch.tensor([[8.0, 4.0], [4.0, 0.0]]).double()}, 1, 2.0).moments()[1]
    assert torch.allclose(moment, torch.tensor([[3.998, 1.998], [1.998, 0.002]]).double(), atol=1e-12)


def test_a_values_name_changes_with_all_that_it_comes_from(encoders):
    tower, concepts = encoders[0].tower, RECIPE.concepts

    def names(tower=tower, last=3, concepts=concepts, templates=TEMPLATES, settings=FEW, teacher=""):
        return value_names(tower, last, concepts, templates, settings, teacher)

    plain = names()
    assert len(plain) == len(set(plain)) == 2 and {len(name) for name in plain} == {32}
    assert names(settings=replace(FEW, at_once=1)) == plain == names(concepts=concepts[::-1])[::-1]
    others = [
        names(tower=replace(tower, depth=5)), names(last=2), names(templates=TEMPLATES[1:]), names(settings=ValueSettings()),
        names(teacher="x"), names(teacher=["x", "y"])[1:],
    ]  # fmt: skip
    assert not any(set(plain) & set(other) for other in others)
    assert names(teacher=["x", "y"])[0] == names(teacher="x")[0]
