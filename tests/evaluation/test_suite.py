"""The suite's edits and the arithmetic of the measures; no picture is drawn."""

import json
from dataclasses import replace

import pytest
import torch

pytest.importorskip("diffusers", reason="diffusers is not installed")

from edit_assumption.editing.alignment import align
from edit_assumption.editing.assumptions.closed_form import solve
from edit_assumption.editing.assumptions.context_map import ContextMap
from edit_assumption.editing.assumptions.edit import solve_regularized
from edit_assumption.editing.assumptions.moments import read_known, second_moment
from edit_assumption.editing.assumptions.token_columns import Columns
from edit_assumption.editing.encoding import Chunk, EncodedPrompt
from edit_assumption.editing.errors import EditError
from edit_assumption.editing.known_texts import KnownTexts
from edit_assumption.evaluation import suite_report
from edit_assumption.evaluation.held_out import HALVES
from edit_assumption.evaluation.joint_groups import cases_of, groups
from edit_assumption.evaluation.measures import ALL_MEASURES, Gallery, Scores, score_group
from edit_assumption.evaluation.suite import named_edits, pocket_suite
from edit_assumption.evaluation.suite_methods import Method, Seen, Variant, ablation, methods, unchanged
from edit_assumption.evaluation.suite_run import _Worker
from edit_assumption.pocket.captions import bare_captions, ordinary_captions
from edit_assumption.pocket.tokenizer import unknown_words
from edit_assumption.pocket.words import ALL


def test_the_suite_has_what_it_needs():
    suite = pocket_suite()
    assert len(suite) >= 60 and suite == pocket_suite()
    assert {edit.split for edit in suite} == {"validation", "test"}
    assert len({(edit.source, edit.destination) for edit in suite}) == len(suite)
    for edit in suite:
        assert [len(cases) for cases in edit.measures.values()] == [1, 5, 5]
        cases = [case for cases in edit.measures.values() for case in cases]
        assert not any(unknown_words(text) for case in cases for text in (case.prompt, case.oracle))
        assert len({case.prompt for case in cases}) == 11
        asked = edit.efficacy[0].wanted
        assert all(case.wanted == asked and case.prompt != case.oracle for case in edit.generality)
        for case in edit.specificity:
            assert case.prompt == case.oracle and case.wanted["thing"] != asked["thing"]
            assert case.wanted.get(edit.attribute) != asked[edit.attribute]


def test_names_fill_groups_up_with_edits_of_their_own():
    for edit in named_edits():
        assert not unknown_words(edit.source) and not unknown_words(edit.destination)
        assert edit.source.split()[-1] in edit.destination.split() and edit.source != edit.destination


class Answers(Gallery):
    """Answers as told, in place of drawing."""

    def __init__(self, told):
        self.told, self.seen, self.asked = told, SEEN, []

    def answers(self, prompts, context_map=None):
        self.asked.append((tuple(prompts), context_map))
        return {prompt: self.told(prompt, context_map) for prompt in prompts}


SUITE = pocket_suite()
EDITS = SUITE[:4]


def test_shares_are_those_of_the_pictures_that_show_everything_asked():
    edit = EDITS[0]

    def told(prompt, context_map):
        case = next(case for cases in edit.measures.values() for case in cases if case.prompt == prompt)
        right = dict(case.wanted)
        return [right, {**right, "thing": "nothing"}, {**right, edit.attribute: "other"}, right]

    # A case that asks for the attribute alone, so that its thing does not count.
    wanted = {edit.attribute: edit.efficacy[0].wanted[edit.attribute]}
    bare = replace(edit, efficacy=(replace(edit.efficacy[0], wanted=wanted),))
    assert score_group(Answers(told), Method("any", unchanged), [edit], [edit]) == {measure: [0.5] for measure in ALL_MEASURES}
    found = score_group(Answers(lambda *_: [{**wanted, "thing": "x"}]), Method("any", unchanged), [bare], [bare])
    assert found == {"efficacy": [1.0], "generality": [0.0], "specificity": [0.0], "unlisted": [0.0]}


def test_unlisted_prompts_are_drawn_where_nothing_names_their_things():
    edit, told_of = EDITS[0], {}

    def solve(seen, edits):
        texts = [*seen.captions, *seen.bare]
        named = {name for name, thing in ALL.items() if any({thing.name, thing.plural} & set(text.split()) for text in texts)}
        assert named == set(ALL) - seen.held_out and seen.words == WORDS
        context_map = ContextMap(torch.full((16, 1), 1.0 + len(told_of)), torch.ones(1, 16))
        told_of[context_map] = seen.held_out
        return context_map

    def told(prompt, context_map):
        (wanted,) = {tuple(case.wanted.items()) for case in edit.specificity if case.prompt == prompt} or {()}
        return [dict(wanted) if told_of[context_map] and dict(wanted)["thing"] in told_of[context_map] else {"thing": "x"}]

    gallery = Answers(told)
    found = score_group(gallery, Method("any", solve), [edit], [edit])
    assert found["unlisted"] == [1.0] and found["specificity"] == [0.0]
    assert set().union(*told_of.values()) == set(ALL) and sum(map(len, told_of.values())) == len(ALL)
    assert sum(len(prompts) for prompts, _ in gallery.asked) == 11 + 5


@pytest.mark.parametrize("half", HALVES, ids=["one", "other"])
def test_what_one_half_changes_nothing_for_is_not_drawn_again(half):
    """As with UCE at 50 edits, whose sources are all of a half that it would be told of."""
    edit = EDITS[0]
    whole, less = (ContextMap(torch.full((16, 1), number), torch.ones(1, 16)) for number in (1.0, 2.0))

    def solve(seen, edits):
        return less if seen.held_out == half else whole

    def told(prompt, context_map):
        (wanted,) = {tuple(case.wanted.items()) for case in edit.specificity if case.prompt == prompt} or {()}
        return [dict(wanted) if context_map is less else {"thing": "x"}]

    gallery = Answers(told)
    found = score_group(gallery, Method("any", solve), [edit], [edit])
    asked = [case for case in edit.specificity if case.wanted["thing"] in half]
    assert found["unlisted"] == [len(asked) / len(edit.specificity)]
    assert [len(prompts) for prompts, _ in gallery.asked] == [11, len(asked)]


def test_a_method_that_nothing_is_told_is_drawn_once():
    edit, gallery = EDITS[0], Answers(lambda *_: [{"thing": "x"}])
    score_group(gallery, Method("any", lambda seen, edits: ContextMap(torch.ones(16, 1), torch.ones(1, 16))), [edit], [edit])
    assert len(gallery.asked) == 1


def test_the_oracle_writes_the_destination_and_groups_share_a_map():
    gallery = Answers(lambda *_: [{"thing": "x"}])
    score_group(gallery, Method("oracle", unchanged, oracle=True), EDITS[:1], EDITS[:1])
    assert EDITS[0].destination in gallery.asked[0][0] and EDITS[0].source not in gallery.asked[0][0]
    maps = []

    def solve(seen, edits):
        maps.append((len(edits), ContextMap.identity(4)))
        return maps[-1][1]

    scores = Scores("any", 3)
    for group, measured in groups(EDITS, 3, SUITE):
        scores.add(score_group(gallery, Method("any", solve), group, measured))
    assert [count for count, _ in maps] == [3] * 6  # each group once with all captions, and without either half
    maps = maps[::3]
    assert [context_map for _, context_map in gallery.asked[1:]] == [context_map for _, context_map in maps]
    assert all(len(shares) == 4 for shares in scores.shares.values())


@pytest.mark.parametrize("together", [1, 3, 10, 40, 100])
def test_groups_have_their_size_and_no_source_twice_and_measure_every_edit_once(together):
    test_half = [edit for edit in SUITE if edit.split == "test"]
    measured = []
    for group, own in groups(test_half, together, [*SUITE, *named_edits()]):
        assert len(group) == len({edit.source for edit in group}) == together
        assert all(edit in group for edit in own)
        measured += own
    assert sorted(measured, key=test_half.index) == test_half


def test_too_large_a_group_is_refused():
    with pytest.raises(EditError, match="42 sources, so 43"):
        next(groups(SUITE, 43, ()))


def test_an_unrelated_prompt_that_is_edited_too_ought_to_follow_its_own_edit():
    edit, other = next(
        (edit, other)
        for edit in SUITE
        for other in SUITE
        if edit.attribute == other.attribute and other.source in [case.prompt for case in edit.specificity]
    )
    place = [case.prompt for case in edit.specificity].index(other.source)
    alone, both = (cases_of(edit, group)["specificity"] for group in ([edit], [edit, other]))
    assert alone == edit.specificity
    assert both[place] == other.efficacy[0] and both[place].oracle == other.destination
    assert [case for case in both if case != both[place]] == [case for case in alone if case != alone[place]]


def test_means_and_intervals():
    scores = Scores(
        "any", 1, {"efficacy": [1.0, 0.0, 1.0, 1.0], "generality": [0.5] * 4, "specificity": [0.75] * 4, "unlisted": [1.0] * 4}
    )
    assert scores.mean("efficacy") == 0.75
    assert scores.harmonic() == pytest.approx(3 / (1 / 0.75 + 1 / 0.5 + 1 / 0.75))
    assert scores.interval("generality") == (0.5, 0.5)
    low, high = scores.interval("efficacy")
    assert low < 0.75 < high <= 1


def random_tokens(prompts):
    """An encoder of 16 directions, each with more energy than the one before."""
    encoded = []
    for prompt in prompts:
        words = prompt.split()
        generator = torch.Generator().manual_seed(sum(map(ord, prompt)))
        rows = torch.randn(32, 16, generator=generator) * torch.arange(1, 17).sqrt()
        tokens = ("<start>", *words, *["<end>"] * (31 - len(words)))
        encoded.append(EncodedPrompt(tokens, (Chunk(0, range(1, 1 + len(words)), 32),), rows))
    return encoded


WORDS = ("rose", "orchid", "harpsichord")
SEEN = Seen(random_tokens, WORDS)


def test_every_method_gives_a_map_of_the_whole_group():
    for name, method in {**ablation(), **methods()}.items():
        context_map = method.solve(SEEN, EDITS)
        assert (context_map is None) == (name in ("unedited", "oracle"))
        assert context_map is None or (context_map.width == 16 and context_map.rank > 0)


BARE = bare_captions()
CAPTIONS = ordinary_captions()
PAPER = {"captions": (), "regularization": 0.1, "scaled": False}
LABELLED = {
    "TIME": {**PAPER, "as_given": True},
    "UCE": {**PAPER, "as_given": True, "positions": "last", "preserve": BARE, "sentences": ("{}",)},
    "ours": {},
    "what is edited held": {"held": True},
    "identity": {"captions": ()},
    "identity, preserve": {"captions": (), "preserve": BARE},
    "captions": {"captions": CAPTIONS},
    "words only": {"captions": CAPTIONS, "positions": "words"},
    "identity, words only": {"positions": "words", "captions": ()},
    "bare captions": {"captions": BARE},
    "preserve": {"preserve": BARE},
    "null space": {"null_space": 0.03},
    "identity, null space": {"captions": (), "null_space": 0.03},
    "no augmentations": {"sentences": ("{}",)},
    "regularization 0.01": {"regularization": 0.01},
    "regularization 1": {"regularization": 1.0},
}


def rows_of(prompt, positions):
    """Which rows of a prompt count: its words stand at 1 and on, then the end and padding."""
    end = prompt.chunks[0].words.stop
    return {"all": list(range(32)), "words": [*range(1, end + 1)], "last": [end - 1]}[positions]


def what_a_label_promises(
    captions=None,
    regularization=0.1,
    scaled=True,
    as_given=False,
    positions="all",
    held=False,
    preserve=(),
    sentences=("{}", "A photo of {}", "An image of {}", "A picture of {}"),
    null_space=0.0,
):
    """The map of EDITS by its own columns: nothing of the evaluation takes part, the library solves."""
    columns = []
    for edit in EDITS:
        for line in sentences:
            source, destination = random_tokens([line.replace("{}", edit.source), line.replace("{}", edit.destination)])
            rows = rows_of(source, positions)
            answers = rows_of(destination, "last") if positions == "last" else [align(source, destination)[row] for row in rows]
            columns.append(Columns.of(source.embeddings[rows], destination.embeddings[answers]))
    for prompt in random_tokens([prompt for prompt in preserve if prompt not in {edit.source for edit in EDITS}]):
        kept = prompt.embeddings[rows_of(prompt, positions)]
        columns.append(Columns.of(kept, kept))
    if captions is None:
        known = read_known(random_tokens, KnownTexts(CAPTIONS, WORDS))
        moment = known.whole() if held else known.beside([edit.source for edit in EDITS], random_tokens)
    else:
        moment = second_moment(random_tokens(captions), positions) if captions else None
    protected = None
    if null_space:
        energy, directions = torch.linalg.eigh(second_moment(random_tokens(CAPTIONS)))
        protected = directions.T[energy.cumsum(0) >= null_space * energy.sum()]
    solver = solve if as_given else solve_regularized
    return solver(Columns.joined(columns), regularization, scaled, moment, protected).context_map.change()


def test_every_label_stands_on_its_own_method():
    """Each is told from all the others by what it does to the model."""
    known = {**ablation(), **methods()}
    assert set(known) == {*LABELLED, "unedited", "oracle"} and all(method.name == name for name, method in known.items())
    assert {name: method.oracle for name, method in known.items() if method.solve is unchanged} == {
        "unedited": False,
        "oracle": True,
    }
    promised = {name: what_a_label_promises(**settings) for name, settings in LABELLED.items()}
    for name in promised:
        change = known[name].solve(SEEN, EDITS).change()
        apart = {other: float((change - theirs).norm() / theirs.norm()) for other, theirs in promised.items()}
        assert apart.pop(name) < 1e-5 < min(apart.values()) / 10, (name, apart)


def test_a_name_is_scored_by_its_own_method():
    """In the processes that draw the pictures, too."""
    gallery = Answers(lambda *_: [{"thing": "x"}])
    _Worker.gallery = gallery
    for variants, known in ((False, methods()), (True, ablation())):
        _Worker.variants = variants
        for name in known:
            before = len(gallery.asked)
            _Worker.score(name, [(EDITS[:1], EDITS[:1])])
            prompts, context_map = gallery.asked[before]
            assert (EDITS[0].destination in prompts) == known[name].oracle
            expected = known[name].solve(SEEN, EDITS[:1])
            assert (context_map is None) == (expected is None)
            assert expected is None or torch.equal(context_map.change(), expected.change())


def test_in_the_null_space_what_captions_say_most_strongly_does_not_move():
    _, directions = torch.linalg.eigh(second_moment(random_tokens(CAPTIONS)))
    moved = Variant(null_space=0.25)(SEEN, EDITS).apply(directions.T) - directions.T
    still = moved.norm(dim=1) < 1e-6
    assert still[8:].all() and not still[:4].any()


def test_the_report_has_numbers_and_pictures(tmp_path):
    shares = {"efficacy": [1.0, 0.5], "generality": [0.5, 0.5], "specificity": [1.0, 1.0], "unlisted": [1.0, 0.5]}
    results = [Scores("one", 1, shares), Scores("two", 1, shares), Scores("one", 10, shares)]
    text = suite_report.write(results, tmp_path, {"seeds": 3})
    assert "| one | 10 | 75.0 (50–100) | 50.0 (50–50) | 100.0 (100–100) | 69.2 | 75.0 (50–100) |" in text
    answer = json.loads((tmp_path / "results.json").read_text())
    assert answer["seeds"] == 3 and answer["results"][2] == {"method": "one", "together": 10, "shares": shares}
    assert {file.name for file in tmp_path.iterdir()} == {"results.json", "table.md", "methods.png", "together.png"}
