"""Concept edits: the tower against transformers', the solve against a direct one and by hand, values, statistics, subjects."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from concept_towers import keys_and_stream, new_model, tokenize, tower_of
from edit_assumption.editing.concepts import keys as keys_module
from edit_assumption.editing.concepts import statistics as statistics_module
from edit_assumption.editing.concepts.concept_lines import TEMPLATES, Concept, parse_concepts
from edit_assumption.editing.concepts.concept_report import statistics_remarks
from edit_assumption.editing.concepts.keys import SubjectStreams
from edit_assumption.editing.concepts.sentences import sentences_of
from edit_assumption.editing.concepts.statistics import Statistics, add_captions, caption_statistics, caption_weights
from edit_assumption.editing.concepts.subjects import last_token, token_spans
from edit_assumption.editing.concepts.tower import Tower, default_layers
from edit_assumption.editing.concepts.update import solve_layer, write_shifts
from edit_assumption.editing.concepts.values import ValueSettings, find_values
from edit_assumption.editing.errors import EditError

WIDTH = 32
CAPTIONS = [f"a {look} {thing} on a {place}" for look in ("red", "blue", "green") for thing in ("rose", "cat", "dog", "house")
            for place in ("field", "painting", "pack")]  # fmt: skip


@pytest.fixture(scope="module")
def model():
    return new_model(WIDTH)


@pytest.fixture(scope="module")
def tower(model):
    return tower_of(model)


@pytest.fixture(scope="module")
def moments(tower):
    return caption_statistics(tower, tokenize, CAPTIONS, range(6)).moments()


def read(tower, texts):
    """Of words that mean nothing: padding far behind them is random, so it is left out."""
    ids = torch.tensor([entry.ids for entry in tokenize(texts)])
    return tower.finish(tower.embed(ids), 0)[:, :12]


def test_the_tower_is_transformers_encoder(model, tower):
    ids = torch.tensor([entry.ids for entry in tokenize(["a photo of a rose", "dogs in a house"])])
    with torch.inference_mode():
        out = model(ids, output_hidden_states=True)
    assert torch.allclose(tower.finish(tower.embed(ids), 0), out.last_hidden_state, atol=1e-4)
    assert torch.allclose(tower.run(tower.embed(ids), 0, 4), out.hidden_states[4], atol=1e-4)
    with torch.device("meta"):  # what is made without a word of where goes elsewhere here, and fits nothing
        assert torch.equal(tower.run(tower.embed(ids), 0, 4), tower.run(tower.embed(ids), 0, 4))
    rows = torch.tensor([[2, 5], [1, 76]])
    for layer in (3, 6):
        some = tower.finish(tower.run(tower.embed(ids), 0, layer), layer, rows)
        assert torch.allclose(some, out.last_hidden_state.gather(1, rows[..., None].expand(-1, -1, WIDTH)), atol=1e-4)


def test_a_change_stands_beside_the_matrix(model, tower):
    up, down = torch.randn(WIDTH, 2), torch.randn(2, 4 * WIDTH) * 0.1
    changed = tower.changed(2, up[:, :1].double(), down[:1].double()).changed(2, up[:, 1:].double(), down[1:].double())
    name = "encoder.layers.2.mlp.fc2.weight"
    direct = Tower({**tower.weights, name: tower.weights[name] + up @ down}, 4, "quick_gelu", 6)
    assert torch.allclose(read(changed, ["a rose"]), read(direct, ["a rose"]), atol=1e-4)
    assert changed.digest != tower.digest == Tower(dict(tower.weights), 4, "quick_gelu", 6).digest


def test_default_layers_are_the_papers_at_its_depth():
    assert default_layers(12) == (7, 8, 9, 10)
    assert default_layers(24) == (15, 16, 17, 18, 19, 20, 21, 22) and default_layers(4) == (0,)


def test_the_solve_by_hand():
    """Two keys of the unit vectors, S the identity, lambda 1: D k is half of what was missing; nothing else changes."""
    keys = torch.eye(4)[:2]
    residual = torch.tensor([[2.0, 0, 0, 0], [0, 4.0, 0, 0]])
    up, down = solve_layer(keys, residual, torch.eye(4), 1.0)
    expected = torch.zeros(4, 4, dtype=torch.float64)
    expected[0, 0], expected[1, 1] = 1.0, 2.0
    assert torch.allclose(up @ down, expected)


@pytest.mark.parametrize("count", [3, 40])
def test_the_solve_is_the_direct_one(count):
    generator = torch.Generator().manual_seed(count)
    keys = torch.randn(count, 16, generator=generator, dtype=torch.float64)
    residual = torch.randn(count, 5, generator=generator, dtype=torch.float64)
    half = torch.randn(16, 64, generator=generator, dtype=torch.float64)
    moment = half @ half.T / 64
    up, down = solve_layer(keys, residual, moment, 2.5)
    direct = residual.T @ keys @ torch.linalg.inv(2.5 * moment + keys.T @ keys)
    assert (up @ down - direct).norm() < 1e-6 * direct.norm()
    assert up.shape[1] == min(count, 16)


def test_one_layer_and_one_concept_reach_the_value(tower, moments):
    sentences = sentences_of([Concept("rose", "tulip")], tokenize, ["a photo of {}"])
    keys, stream = keys_and_stream(tower, sentences, [3], 3)
    shift = torch.randn(stream.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for regularization in (1e-6, 1.0):
        changed = write_shifts(tower, sentences, shift, moments, regularization, [3])
        _, moved = keys_and_stream(changed, sentences, [3], 3)
        share = float(keys[3][0] @ torch.linalg.solve(moments[3], keys[3][0]))
        assert torch.allclose(moved - stream, share / (regularization + share) * shift, atol=1e-4)


def test_the_residual_is_spread_over_the_layers(tower, moments):
    sentences = sentences_of([Concept("rose", "tulip"), Concept("cat", "dog")], tokenize)
    _, stream = keys_and_stream(tower, sentences, [], 4)
    shifts = torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    changed = write_shifts(tower, sentences, shifts, moments, 1e-4, [2, 3, 4])
    _, moved = keys_and_stream(changed, sentences, [], 4)
    wanted = shifts[sentences.concept]
    assert (moved - stream - wanted).norm() < 0.05 * wanted.norm()
    assert set(changed.changes) == {2, 3, 4} and all(up.shape[1] == 2 * len(TEMPLATES) for up, _ in changed.changes.values())
    alone = write_shifts(tower, sentences, shifts, moments, 1e-4, [4])
    sizes = [float((up @ down).norm()) for tower_ in (changed, alone) for up, down in [tower_.changes[4]]]
    assert sizes[0] < sizes[1]


def test_values_bring_the_text_where_it_is_meant(tower):
    concepts = [Concept("rose", "tulip"), Concept("cat", "painting"), Concept("dog", "")]
    sentences = sentences_of(concepts, tokenize)
    found = find_values(tower, sentences, 4, ValueSettings(steps=60))
    assert torch.allclose(found.before, torch.ones(3)) and (found.after[:2] < 0.7).all() and float(found.after[2]) < 1
    one_by_one = find_values(tower, sentences, 4, ValueSettings(steps=60, at_once=1))
    assert torch.allclose(found.shifts, one_by_one.shifts, atol=1e-4)
    again = find_values(tower, sentences, 4, ValueSettings(steps=60))
    assert torch.equal(found.shifts, again.shifts)
    _, stream = keys_and_stream(tower, sentences, [], 4)
    assert (found.shifts.norm(dim=1) <= 3.001 * sentences.mean(stream).norm(dim=1)).all()


def test_a_mode_has_settings_that_suit_it():
    assert ValueSettings.for_mode("text") == ValueSettings()
    assert ValueSettings.for_mode("attention") == ValueSettings(rate=0.3, text=0.1, at_once=16)
    assert ValueSettings.for_mode("full") == ValueSettings(steps=84, rate=0.3, decay=0.02, text=0.1, lead=60, at_once=4)


def test_values_in_a_hosts_inference_mode(tower):
    sentences = sentences_of([Concept("rose", "tulip")], tokenize)
    with torch.inference_mode():
        found = find_values(tower, sentences, 4, ValueSettings(steps=5))
    assert float(found.after) < 1


def test_a_second_teacher_is_listened_to(tower):
    sentences = sentences_of([Concept("rose", "tulip")], tokenize)
    asked = []

    def distill(part, edited, meant, step):
        asked.append((edited.shape, step))
        return (edited - meant).square().mean(dim=(1, 2)) * 10

    both = find_values(tower, sentences, 4, ValueSettings(steps=20), distill)
    alone = find_values(tower, sentences, 4, ValueSettings(steps=20, text=0.0), distill)
    assert asked[0] == ((len(TEMPLATES), 77, WIDTH), 0)
    assert not torch.allclose(both.shifts, alone.shifts) and float(alone.after) < 1


def test_a_whole_edit_changes_its_concepts_and_leaves_the_rest(tower, moments):
    concepts = [Concept("rose", "tulip"), Concept("cat", "painting")]
    sentences = sentences_of(concepts, tokenize)
    shifts = find_values(tower, sentences, 4).shifts
    changed = write_shifts(tower, sentences, shifts, moments, 1.0, [4])

    def nearer(source, destination):
        before, after, meant = read(tower, [source]), read(changed, [source]), read(tower, [destination])
        return float((after - meant).norm() / (before - meant).norm())

    assert nearer("a photo of rose", "a photo of tulip") < 0.95
    moved = (read(changed, ["a green house"]) - read(tower, ["a green house"])).norm() / read(tower, ["a green house"]).norm()
    edited = (read(changed, ["a photo of cat"]) - read(tower, ["a photo of cat"])).norm() / read(
        tower, ["a photo of cat"]
    ).norm()
    assert float(moved) < 0.5 * float(edited)


def test_statistics_go_on_where_they_were_stopped(tower, tmp_path, monkeypatch):
    monkeypatch.setattr(statistics_module, "_AT_ONCE", 4)
    monkeypatch.setattr(statistics_module, "_SAVED_EVERY", 2)
    whole = caption_statistics(tower, tokenize, CAPTIONS, [2, 3])

    def stop(seen):
        if seen >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        caption_statistics(tower, tokenize, CAPTIONS, [2, 3], tmp_path, stop)
    seen = []
    resumed = caption_statistics(tower, tokenize, CAPTIONS, [2, 3], tmp_path, seen.append)
    assert seen[0] == 16 and resumed.captions == whole.captions == len(CAPTIONS)
    assert all(torch.allclose(resumed.sums[layer], whole.sums[layer]) for layer in (2, 3))
    again = []
    caption_statistics(tower, tokenize, CAPTIONS, [2, 3], tmp_path, again.append)
    assert again == [len(CAPTIONS)]
    caption_statistics(tower, None, CAPTIONS, [2, 3], tmp_path)  # nothing is tokenized that is known
    other = []
    caption_statistics(tower, tokenize, CAPTIONS[:-1], [2, 3], tmp_path, other.append)
    assert other[0] == 0
    foreign = []
    caption_statistics(
        tower.changed(0, torch.ones(WIDTH, 1), torch.ones(1, 4 * WIDTH)), tokenize, CAPTIONS, [2, 3], tmp_path, foreign.append
    )
    assert foreign[0] == 0


def test_statistics_are_the_second_moment_of_the_keys(tower):
    found = caption_statistics(tower, tokenize, ["a rose"], [1])
    (entry,) = tokenize(["a rose"])
    _, key = tower.attend(tower.run(tower.embed(torch.tensor([entry.ids])), 0, 1), 1)
    first = 4 + sum(entry.ids) % 10
    places = [0, 1, 2, 3, *range(first, 77, 10)]  # (start) a rose (end), and every tenth of the padding
    weights = torch.tensor([1.0] * 3 + [3 / (len(places) - 3)] * (len(places) - 3)).double()  # the ends as much as all words
    read = key[0, places].double()
    assert found.tokens == pytest.approx(6)
    assert torch.allclose(found.sums[1], read.T @ (weights[:, None] * read), rtol=1e-4)
    with pytest.raises(EditError) as caught:
        caption_statistics(tower, tokenize, [], [1])
    assert str(caught.value) == ("There is no caption to compute the statistics from; give a file with one on each line.")
    broken = Tower({**tower.weights, "encoder.layers.0.mlp.fc1.bias": torch.full((4 * WIDTH,), torch.inf)}, 4, "quick_gelu", 6)
    with pytest.raises(EditError) as caught:
        caption_statistics(broken, tokenize, ["a rose"], [1])
    assert str(caught.value) == "The text encoder gave numbers that are not finite; load it in another precision."


def test_words_are_read_without_padding_and_say_the_same(tower):
    (entry,) = tokenize(["tulip"])
    (long,), (short,) = (tower.run(tower.embed(torch.tensor([ids])), 0, 6) for ids in (entry.ids, entry.short().ids))
    assert short.shape[0] == 3 and torch.allclose(long[:3], short, atol=1e-5)
    both = caption_statistics(tower, tokenize, ["a rose"], [1], words=["tulip", "dog"])
    tokens = [*tokenize(["a rose"]), *(entry.short() for entry in tokenize(["tulip", "dog"]))]
    direct = Statistics({1: torch.zeros_like(both.sums[1])})
    for entry in tokens:
        add_captions(direct, tower, [entry], caption_weights(tokens))
    assert (both.sums[1] - direct.sums[1]).norm() < 1e-6 * direct.sums[1].norm()
    assert both.captions == 3 and both.tokens == pytest.approx(direct.tokens)
    alone = caption_statistics(tower, tokenize, ["a rose"], [1], words=["tulip", "dog"], edited=["dog"])
    assert alone.captions == 2 and alone.tokens < both.tokens


def test_statistics_of_words_in_several_batches(tower, monkeypatch):
    words = ["tulip", "dog", "cat", "house", "painting"]
    whole = caption_statistics(tower, tokenize, CAPTIONS, [1], words=words)
    monkeypatch.setattr(statistics_module, "_WORDS_AT_ONCE", 2)
    monkeypatch.setattr(statistics_module, "_AT_ONCE", 4)
    seen = []
    parts = caption_statistics(tower, tokenize, CAPTIONS, [1], words=words, advance=seen.append)
    assert seen == [*range(0, len(CAPTIONS), 4), *range(len(CAPTIONS), len(CAPTIONS) + 5, 2), len(CAPTIONS) + 5]
    assert (parts.sums[1] - whole.sums[1]).norm() < 1e-6 * whole.sums[1].norm() and parts.tokens == pytest.approx(whole.tokens)


def test_statistics_know_whether_there_are_fewer_keys_than_numbers_in_one(tower):
    few = caption_statistics(tower, tokenize, ["a rose", "a rose", "a cat"], [1])
    names = (len(tokenize([name])[0].words) + 1 for name in ("rose", "cat"))  # each with its end
    assert few.distinct == 2 + sum(names) and few.thin  # behind the start token and “a”
    (remark,) = statistics_remarks({"clip_l": few})
    assert f"{few.distinct} different places" in remark and str(tower.key_width) in remark
    enough = replace(few, distinct=tower.key_width)
    assert not enough.thin and not statistics_remarks({"clip_l": enough})


def test_statistics_of_other_words_are_made_again(tower, tmp_path):
    caption_statistics(tower, tokenize, CAPTIONS, [2], tmp_path)
    seen, again = [], []
    words = ["tulip", "dog"]
    first = caption_statistics(tower, tokenize, CAPTIONS, [2], tmp_path, seen.append, words=words)
    second = caption_statistics(tower, tokenize, CAPTIONS, [2], tmp_path, again.append, words=words)
    assert seen[0] == 0 and again == [len(CAPTIONS) + 2]
    assert second.distinct == first.distinct and torch.equal(second.sums[2], first.sums[2])


def test_words_count_by_the_root_of_how_many_there_are():
    entries = tokenize(["a rose", "a cat", "a painting of a dog"])
    weights = caption_weights(entries)
    pieces = Counter(piece for entry in entries for piece in entry.pieces[: entry.words.stop])
    by_piece = {piece: weights.words[number] for entry in entries for number, piece in zip(entry.ids, entry.pieces, strict=True)
                if number in weights.words}  # fmt: skip
    assert pieces["a</w>"] == 4 and by_piece == {piece: count**-0.5 for piece, count in pieces.items()}
    ends = sum(1 + len(range(entry.words.stop + 1 + sum(entry.ids) % 10, 77, 10)) for entry in entries)
    assert weights.end * ends == pytest.approx(sum(count**0.5 for count in pieces.values()))
    assert caption_weights([tokenize(["a rose"])[0].short()]).end == pytest.approx(3)  # of one end


def test_captions_that_name_what_is_edited_hold_nothing(tower, tmp_path):
    whole = caption_statistics(tower, tokenize, CAPTIONS, [2], tmp_path)
    left = caption_statistics(tower, tokenize, CAPTIONS, [2], tmp_path, edited=["Rose", "red  cat", "unicorn"])
    others = [caption for caption in CAPTIONS if "rose" not in caption and "red cat" not in caption]
    weights = caption_weights(tokenize(CAPTIONS))
    direct = Statistics({2: torch.zeros_like(whole.sums[2])})
    add_captions(direct, tower, tokenize(others), weights)
    assert left.captions == len(others) < whole.captions
    assert (left.sums[2] - direct.sums[2]).norm() < 1e-5 * direct.sums[2].norm()
    assert left.tokens == pytest.approx(direct.tokens, rel=1e-6)
    assert caption_statistics(tower, tokenize, ["a rose", "a cat, (a dog)"], [2]).captions == 2  # where nothing is edited
    everything = caption_statistics(tower, tokenize, CAPTIONS, [2], tmp_path, edited=["a"])
    assert torch.equal(everything.sums[2], whole.sums[2])  # there is nothing else to hold on to


def test_sentences_cut_behind_their_subjects_read_the_same(tower, monkeypatch):
    """Sorted, in batches, from layer to layer, against all of every sentence from the embedding up."""
    monkeypatch.setattr(keys_module, "_AT_ONCE", 3)
    concepts = [Concept("a green rose", "tulip"), Concept("cat", "dog"), Concept("rose", "house")]
    sentences = sentences_of(concepts, tokenize)
    generator = torch.Generator().manual_seed(2)
    factors = {layer: (torch.randn(WIDTH, 2, generator=generator), torch.randn(2, 4 * WIDTH, generator=generator) * 0.1)
               for layer in (1, 2)}  # fmt: skip
    streams, changed = SubjectStreams(tower, sentences), tower
    for layer in (1, 2, 4):
        keys, stream = streams.keys_and_stream(changed, layer, 4)
        direct, meant = keys_and_stream(changed, sentences, [layer], 4)
        assert keys.dtype == stream.dtype == torch.float64
        assert (keys - direct[layer]).norm() < 1e-5 * direct[layer].norm() and (stream - meant).norm() < 1e-5 * meant.norm()
        if layer in factors:
            changed = changed.changed(layer, *factors[layer])


def test_nothing_is_run_twice_or_behind_the_subject(tower, moments, monkeypatch):
    runs = []
    monkeypatch.setattr(Tower, "attend", lambda self, stream, layer, rows=None, plain=Tower.attend:
                        runs.append((layer, stream.shape[1])) or plain(self, stream, layer, rows))  # fmt: skip
    sentences = sentences_of([Concept("rose", "tulip")], tokenize, ["a {} by day"])
    write_shifts(tower, sentences, torch.ones(1, WIDTH), moments, 1.0, [2, 3, 4])
    assert runs == [(layer, 3) for layer in (0, 1, 2, 3, 4, 2, 3, 4, 3, 4)]


def test_stage_two_layer_by_layer_is_the_direct_formula(tower, moments):
    """Each layer's square system, solved for keys and a residual that are read anew with all of every sentence."""
    concepts = [Concept("rose", "tulip"), Concept("cat", "dog"), Concept("dog", "")]
    sentences = sentences_of(concepts, tokenize, TEMPLATES[:3])
    shifts = torch.randn(3, WIDTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    layers, regularization = [2, 3, 4], 3.0
    changed = write_shifts(tower, sentences, shifts, moments, regularization, layers)
    values, direct = keys_and_stream(tower, sentences, [], 4)[1] + shifts[sentences.concept], tower
    for left, layer in zip((3, 2, 1), layers, strict=True):
        keys, stream = keys_and_stream(direct, sentences, [layer], 4)
        k, r = keys[layer].T, ((values - stream) / left).T
        # A concept's three sentences weigh 1 together.
        whole = r @ k.T / 3 @ torch.linalg.inv(regularization * moments[layer] + k @ k.T / 3)
        up, down = changed.changes[layer]
        assert (up.double() @ down.double() - whole).norm() < 1e-4 * whole.norm()
        direct = direct.changed(layer, whole.float(), torch.eye(4 * WIDTH))


@pytest.mark.parametrize(
    ("text", "subject", "ends"),
    [("a photo of a rose", "rose", "a rose"), ("A ROSE and a Rose, a tulip", "rose", "and a rose"),
     ("a van gogh painting", "Van  Gogh", "van gogh"), ("roses and a rose", "rose", "a rose"), ("a cat", "a  Cat", "a cat")],
)  # fmt: skip
def test_subjects_are_found_by_their_characters(text, subject, ends):
    (entry,) = tokenize([text])
    pieces = [entry.pieces[place] for place in entry.words]
    stop = token_spans(text, pieces)[last_token(text, pieces, subject)][1]
    assert text.lower()[:stop].endswith(ends)


def test_characters_of_several_bytes():
    assert token_spans("the Über cat", ["the</w>", "Ã¼", "ber</w>", "cat</w>"]) == [(0, 3), (4, 5), (5, 8), (9, 12)]
    assert last_token("the über cat", ["the</w>", "Ã", "¼ber</w>", "cat</w>"], "Über") == 2


def test_subjects_that_are_not_there_are_refused():
    (entry,) = tokenize(["a photo of roses"])
    pieces = [entry.pieces[place] for place in entry.words]
    with pytest.raises(EditError, match="does not name “rose”"):
        last_token("a photo of roses", pieces, "rose")
    with pytest.raises(EditError, match="is cut before"):
        last_token("a photo of a cat", pieces[:0], "cat")
    with pytest.raises(EditError, match="is cut before"):
        last_token("a-rose", ["a", "-"], "rose")


def test_pieces_that_are_empty_or_lead_across_a_space():
    assert token_spans("a cat", ["a</w>", "cat</w>", "", ""]) == [(0, 1), (2, 5), (2, 5), (2, 5)]
    assert token_spans("a cat", ["a</w>", "", "cat</w>"]) == [(0, 1), (0, 1), (2, 5)]
    assert token_spans("new york", ["newyork</w>"]) == [(0, 8)]


@pytest.mark.parametrize("pieces", [["a</w>", "cat</w>"], ["a</w>", "dog</w>", "s</w>"], [""], ["a</w>", "o", "og</w>"], ["€"]])
def test_pieces_that_do_not_spell_the_text_are_refused(pieces):
    with pytest.raises(EditError, match="spells"):
        token_spans("a dog", pieces)


def test_lines():
    found = parse_concepts("tench -> goldfish  # fish\n\nVan Gogh ->\nwhite shark ~ man-eater\ntench -> goldfish")
    assert found == (Concept("tench", "goldfish"), Concept("Van Gogh", ""), Concept("man-eater", "white shark"))
    assert Concept("rose", "").sentences(["a photo of {} by day"]) == [("a photo of rose by day", "a photo of by day")]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("tench", "Line 1: write one “->”"),
        ("a -> b\na -> c", "Line 2: “a” has another destination already"),
        ("-> b", "Line 1: The concept is empty"),
        ("a -> A", "Line 1: “a” is to become itself"),
        ("~ alias", "Line 1: there is nothing before “~”"),
        ("# nothing", "There is no concept"),
    ],
)
def test_bad_lines_are_named(text, sentence):
    with pytest.raises(EditError, match=sentence):
        parse_concepts(text)


def test_an_encoder_of_another_shape_is_refused(tower):
    with pytest.raises(EditError, match="not shaped like CLIP"):
        Tower({}, 4, "gelu", 6)
    with pytest.raises(EditError, match="activation"):
        Tower(tower.weights, 4, "relu", 6)
