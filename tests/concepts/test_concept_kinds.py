"""The kinds of concept lines beside updates: how they are written, what is searched for, and what is written together."""

import json
from dataclasses import replace

import pytest
import torch
from concept_towers import keys_and_stream, new_model, tokenize, tower_of
from edit_assumption.editing.concepts.balance import Question, balance, balanced_edit, wanted_shares
from edit_assumption.editing.concepts.concept_edit import ConceptEdit, ValueSearch, find_concept_values, mixed
from edit_assumption.editing.concepts.concept_lines import Concept, Variant
from edit_assumption.editing.concepts.concept_recipe import ConceptRecipe, concept_recipe_from_json, parse_concept_recipe
from edit_assumption.editing.concepts.concept_report import shares_remarks
from edit_assumption.editing.concepts.destinations import Destinations, sample_digest
from edit_assumption.editing.concepts.following import following
from edit_assumption.editing.concepts.noise_teacher import NoiseTeacher
from edit_assumption.editing.concepts.sentences import sentences_of
from edit_assumption.editing.concepts.text_encoder import TextEncoder
from edit_assumption.editing.concepts.update import write_shifts
from edit_assumption.editing.concepts.values import ValueSettings, find_values
from edit_assumption.editing.errors import EditError

WIDTH, LAST, TEMPLATES = 32, 4, ("a {}", "a photo of a {}")
LINES = {
    "doctor -> female doctor | male doctor": Concept("doctor", "", (Variant("female doctor"), Variant("male doctor"))),
    "doctor -> female doctor: 3 | male: doctor: -1.5 # 50": Concept(
        "doctor", "", (Variant("female doctor", 3.0), Variant("male: doctor", -1.5))
    ),
    "zopin -> [Pictures]": Concept("zopin", "", pictures=True),
    "zopin -> white moth [pictures]": Concept("zopin", "white moth", pictures=True),
    "nudity -> [everywhere]": Concept("nudity", "", everywhere=True),
    "shark ~ man-eater [everywhere] [pictures]": Concept("man-eater", "shark", pictures=True, everywhere=True),
    r"a|b -> c\|d": Concept("a|b", "c|d"),
    "shark ~ man|eater": Concept("man|eater", "shark"),
    "a -> [b]": Concept("a", "[b]"),
}

TWO = (Variant("woman"), Variant("man"))


@pytest.fixture(scope="module")
def tower():
    return tower_of(new_model(WIDTH))


@pytest.mark.parametrize("line", LINES)
def test_a_line_is_read_and_written_back(line):
    recipe = parse_concept_recipe(line)
    assert recipe.concepts == (LINES[line],)
    assert parse_concept_recipe(recipe.to_text()) == recipe == concept_recipe_from_json(recipe.to_json())


def test_parts_are_written_where_there_are_others_than_1():
    assert Concept("doctor", "", TWO).to_text() == "doctor -> woman | man"
    assert Concept("doctor", "", (TWO[0], Variant("man", 2.5))).to_text() == "doctor -> woman: 1.0 | man: 2.5"
    assert Concept("doctor", "", (TWO[0], Variant("man: 2"))).to_text() == "doctor -> woman: 1.0 | man: 2: 1.0"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("tench -> goldfish", "tench → goldfish"),
        ("doctor -> woman: 3 | man", "doctor → woman 75%, man 25%"),
        ("zopin -> [pictures]", "zopin → (your pictures)"),
        ("zopin -> white moth [pictures]", "zopin → white moth (your pictures)"),
        ("nudity -> [everywhere]", "nudity → (forgotten) everywhere"),
    ],
)
def test_a_line_as_people_are_told_of_it(line, told):
    (concept,) = parse_concept_recipe(line).concepts
    assert concept.described() == told


def test_a_plain_concept_is_kept_in_files_as_ever():
    recipe = ConceptRecipe((Concept("tench", "goldfish"),))
    assert json.loads(recipe.to_json())["concepts"] == [{"source": "tench", "destination": "goldfish"}]
    assert recipe.searched == recipe.written == recipe.concepts


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a -> b |", "is empty"), ("a -> b | B", "each once"), ("a -> b | a", "become itself"),
        ("a -> b: -1 | c: 1", "above 0"), ("a -> b | c [everywhere]", "variants alone"),
        ("a -> b [pictures] | c", "once at the end"), ("= mode: text\na -> b", "preserves a prompt"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(line, said):
    with pytest.raises(EditError, match=said):
        parse_concept_recipe(line)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: Variant(" "),
            "A variant is empty; write one on both sides of “|”, such as: doctor -> female doctor | male doctor",
        ),
        (lambda: Variant("man", float("nan")), "The part of “man” is nan; give a number."),
        (lambda: Variant("man", "1"), "The part of “man” is '1'; give a number."),
        (
            lambda: Concept("cat", "dog [Pictures]"),
            "“[Pictures]” stands once at the end of a line, and not behind “|”; leave it out.",
        ),
        (lambda: Concept("doctor", "nurse", TWO), "A line with “|” has variants alone; leave out what else it asks."),
        (lambda: Concept("doctor", "", TWO, pictures=True), "A line with “|” has variants alone; leave out what else it asks."),
        (
            lambda: Concept("doctor", "", TWO[:1]),
            "Debiasing needs two variants or more, each once, such as: doctor -> female doctor | male doctor",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_full(make, said):
    with pytest.raises(EditError) as caught:
        make()
    assert str(caught.value) == said


def test_a_debiased_concept_is_the_mean_of_its_variants_values():
    recipe = parse_concept_recipe("rose -> tulip\ndoctor -> woman: 3 | man: 1")
    assert [one.destination for one in recipe.searched] == ["tulip", "woman", "man"]
    shifts = torch.tensor([[1.0, 0.0], [4.0, 0.0], [0.0, 8.0]]).double()
    assert mixed(recipe, shifts).tolist() == [[1.0, 0.0], [3.0, 2.0]]


def test_pictures_need_the_mode_that_looks_at_them_and_pictures(tower):
    recipe = ConceptRecipe((Concept("cat", "", pictures=True),))
    encoders = [TextEncoder("clip_l", tower, tokenize)]
    with pytest.raises(EditError) as caught:
        find_concept_values(recipe, encoders)
    assert str(caught.value) == "Only the mode “full” looks at pictures; choose it, or leave out the lines with [pictures]."
    found = find_concept_values(replace(recipe, mode="full"), encoders, ValueSearch(search=lambda *_: "found"))
    assert found == {"clip_l": "found"}
    with pytest.raises(EditError) as caught:
        Destinations(recipe, "", 0, [None], lambda concept, seed: torch.zeros(1))
    assert str(caught.value) == "There are no pictures of “cat”; give some, or leave [pictures] out of its line."


def test_pictures_of_destinations_are_the_users_or_drawn_once_for_each():
    recipe = ConceptRecipe((Concept("cat", "", pictures=True), Concept("rose", "tulip")))
    own, drawn = torch.arange(6.0).view(2, 3), []

    def draw(concept, seed):
        drawn.append((concept, seed))
        return torch.zeros(1, 3)

    found = Destinations(recipe, "model", 7, [own.T, None], draw, lambda pictures: pictures + 1)
    assert len(found) == 2 and found.marked == [0] and torch.equal(found[0], own.T + 1)
    assert found[1] is found[1] and drawn == [(Concept("rose", "tulip"), found.seeds[1])]
    assert found.seeds == [int(name[:12], 16) for name in found.names] and len(set(found.seeds)) == 2
    plain = Destinations(recipe, "model", 7, [own.T, None], draw)
    assert plain.names == found.names and torch.equal(plain[0], own.T)


def test_names_of_destinations_change_with_all_that_they_come_from():
    plain = Concept("cat", "dog")

    def named(concept=plain, templates=TEMPLATES, model="model", seed=7, own=None):
        return Destinations(ConceptRecipe((concept,), templates=templates), model, seed, [own], lambda *_: None).names[0]

    pictures = torch.ones(1, 2)
    names = [
        named(), named(Concept("dog", "cat")), named(Concept("cat", "")), named(templates=TEMPLATES[:1]), named(model="other"),
        named(seed=8), named(own=pictures), named(own=2 * pictures), named(Concept("cat", "dog", pictures=True), own=pictures),
    ]  # fmt: skip
    assert len(set(names)) == len(names) and named() == names[0]
    weights = [torch.ones(2, 80), torch.zeros(3).half()]
    digests = [sample_digest(each) for each in (weights, [2 * weights[0], weights[1]], [weights[0], weights[1] + 1])]
    assert len(set(digests)) == 3 and sample_digest(entry.clone() for entry in weights) == digests[0]


def test_pictures_alone_are_aimed_at_by_the_noise():
    """By hand: 1 + (what the edited lacks - what the source lacks) / how far apart source and meant are; fresh noises lead."""
    sentences = sentences_of([Concept("cat", "", pictures=True), Concept("rose", "tulip")], tokenize, TEMPLATES)
    assert sentences.told.tolist() == [False, True]
    assert sentences_of([Concept("cat", "dog", pictures=True)], tokenize, TEMPLATES).told.tolist() == [True]
    pictures = [torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    asked = []

    def predict(clean, noise, points, contexts):
        asked.append((clean, noise, points))
        return clean + noise * contexts.mean(1)[:, :4].unsqueeze(1)

    def truth(clean, noise, points):
        return noise - points.view(-1, 1, 1) * clean

    source, meant, edited = torch.randn(3, 4, 77, WIDTH, generator=torch.Generator().manual_seed(5))
    leading = []

    def lead(part, *given):
        leading.append((part, *given))
        return torch.full((len(part.ids),), 7.0)

    teacher = NoiseTeacher(predict, pictures, 2, lead, 3, 2, truth, [0])
    begun = torch.stack([teacher(sentences, source, meant, turn) for turn in range(2)])
    assert torch.allclose(begun[:, :2], torch.ones(2, 2))
    drawn = [asked[0], asked[2]]

    def apart(one, other):
        return (one - other).square().sum((1, 2))[:2]

    says = [[predict(*turn, text) for text in (source, meant, edited)] for turn in drawn]
    scale = torch.stack([apart(one, other) for one, other, _ in says]).mean()
    right, (before, _, after) = truth(*drawn[1]), says[1]
    expected = 1 + (apart(after, right) - apart(before, right)) / scale
    assert torch.allclose(teacher(sentences, edited, meant, 1)[:2], expected, rtol=1e-4)

    led = teacher(sentences, edited, meant, -3)
    clean, noise, points = asked[-1]
    ((part, *given, step),) = leading
    assert torch.equal(part.ids, sentences.ids[2:]) and step == -3
    assert torch.equal(torch.stack(given), torch.stack([edited[2:], meant[2:]]))
    assert led[2:].tolist() == [7.0, 7.0] and not any(torch.equal(noise[0], turn[1][0]) for turn in drawn)
    error = (predict(clean, noise, points, edited[:2]) - truth(clean, noise, points)).square().sum((1, 2))
    assert torch.allclose(led[:2], error / scale, rtol=1e-4)


def test_the_text_does_not_pull_at_what_pictures_say(tower):
    sentences = sentences_of([Concept("cat", "", pictures=True)], tokenize, TEMPLATES)
    found = find_values(tower, sentences, LAST, ValueSettings(steps=2), None)
    assert float(found.shifts.norm()) == 0

    def teacher(part, edited, meant, step):
        return (edited - meant).square().sum((1, 2)) / 1e3

    found, alone = (find_values(tower, sentences, LAST, ValueSettings(steps=2, text=text), teacher) for text in (1.0, 0.0))
    assert float(found.shifts.norm()) > 0 and torch.equal(found.shifts, alone.shifts)


def test_everywhere_gives_what_follows_the_destinations_stream(tower):
    """Nearly without regularization, every token behind the subject has it, the end and padding too; without it they do not."""
    sentences = sentences_of([Concept("rose", "tulip")], tokenize, ("a {} in the snow",))
    behind = following(tower, sentences, LAST)
    places = behind.places.subject.tolist()
    assert places[:4] == [3, 4, 5, 6] and len(places) > 5 and float(behind.share.sum()) == 1
    meant = tower.run(tower.embed(sentences.destination), 0, LAST + 1)[0]
    assert torch.allclose(behind.values, meant[places].double(), atol=1e-5)
    moments = {LAST: torch.eye(tower.key_width).double()}
    for given in (behind, None):
        changed = write_shifts(tower, sentences, torch.zeros(1, WIDTH).double(), moments, 1e-7, [LAST], behind=given)
        stream = changed.run(changed.embed(sentences.ids), 0, LAST + 1)[0]
        off = (stream[places] - meant[places]).norm() / meant[places].norm()
        assert (float(off) < 1e-2) == (given is not None)
    _, before = keys_and_stream(tower, sentences, [LAST], LAST)
    _, after = keys_and_stream(changed, sentences, [LAST], LAST)
    assert torch.allclose(before, after, atol=1e-3)  # the subject keeps the shift that was asked


def test_balancing_goes_to_the_shares_that_are_wanted():
    """By a model that shows the first variant too often, for two concepts at once; what is not debiased stays."""
    recipe = parse_concept_recipe("rose -> tulip\ndoctor -> woman | man\nking -> red king: 3 | blue king: 1")

    def count_shown(tried, number):
        assert tried.concepts[0] == recipe.concepts[0]
        logits = {one.source: torch.tensor([1.0, 0.0]) + 6 * torch.tensor(one.shares) for one in tried.concepts[1:]}
        return {source: tuple((200 * own.softmax(0)).round().int().tolist()) for source, own in logits.items()}

    rounds = list(balance(recipe, count_shown, 6))
    assert rounds[0].recipe.concepts[1].shares == (0.5, 0.5) and rounds[0].gap > 0.1
    assert rounds[-1].gap < 0.02 and rounds[-1].rounds["king"][-1].shares[0] == pytest.approx(0.75, abs=0.03)
    assert len(list(balance(recipe, count_shown, 6, 0.5))) == 1
    with pytest.raises(EditError) as caught:
        next(balance(ConceptRecipe((Concept("a", "b"),)), count_shown, 1))
    assert str(caught.value) == (
        "No line is debiased, so there is nothing to balance; write variants with “|” between, such as: doctor -> female "
        "doctor | male doctor"
    )


DEBIASED = parse_concept_recipe("rose -> tulip\ndoctor -> woman | man\nking -> red king: 3 | blue king: 1", templates=TEMPLATES)


def balanced(budget, seen):
    """The edits that were written, and what came of them; ``seen`` takes a round's number."""
    written, asked = [], []

    def write(tried):
        written.append(ConceptEdit(tried, {}, {}, ()))
        return written[-1]

    def look(edit, questions, number):
        asked.append((edit, questions, number))
        return seen(number)

    return *balanced_edit(DEBIASED, write, look, budget), written, asked


def test_a_balanced_edit_is_that_of_the_last_round_and_its_shares_are_told():
    def seen(number):
        return {"doctor": [0] * (9 - number) + [1] * (1 + number) + [None], "king": [0, 0, 0, 1]}

    edit, last, written, asked = balanced(3, seen)
    assert len(written) == 3 and edit is written[-1] and edit.recipe == last.recipe != DEBIASED
    assert [(entry, number) for entry, _, number in asked] == [(own, number) for number, own in enumerate(written)]
    assert asked[0][1] == {
        "doctor": Question("a doctor", ("a woman", "a man")), "king": Question("a king", ("a red king", "a blue king")),
    }  # fmt: skip
    assert edit.recipe.concepts[0] == DEBIASED.concepts[0] and edit.recipe.concepts[1].shares[1] > 0.5
    assert all(variant.part == round(variant.part, 4) for variant in edit.recipe.concepts[1].variants)
    assert [one.counts for one in last.rounds["doctor"]] == [(9, 1), (8, 2), (7, 3)]
    assert shares_remarks(DEBIASED, last) == [
        "balanced in 3 rounds; what pictures showed with these weights:",
        "doctor (10 pictures): woman 70 %, wanted 50 %; man 30 %, wanted 50 %",
        "king (4 pictures): red king 75 %, wanted 75 %; blue king 25 %, wanted 25 %",
        "still 10 points off; more rounds, or more pictures in a round, bring it nearer",
    ]


def test_balancing_stops_where_shares_are_right_and_says_what_no_judge_saw():
    _, last, written, _ = balanced(5, lambda number: {"doctor": [0, 1], "king": [0, 0, 0, 1]})
    assert len(written) == 1 and len(shares_remarks(DEBIASED, last)) == 3
    with pytest.raises(EditError, match="none of the variants in any picture of “king”"):
        balanced(5, lambda number: {"doctor": [0, 1], "king": [None, None]})
    _, last, *_ = balanced(2, lambda number: {"doctor": [0, None if number else 0], "king": [None if number else 0]})
    assert "Warning: king: the judge saw none of its variants in the last round." in shares_remarks(DEBIASED, last)
    with pytest.raises(EditError) as caught:
        balanced(0, lambda number: {})
    assert str(caught.value) == "Balancing needs a round or more; give a number above 0."


def test_balancing_may_have_one_round_and_stops_near_the_shares():
    _, last, *_ = balanced(1, lambda number: {"doctor": [0], "king": [1]})
    first, *_, far = shares_remarks(DEBIASED, last)
    assert first == "balanced in 1 round; what pictures showed with these weights:"
    assert far == "still 62 points off; more rounds, or more pictures in a round, bring it nearer"
    _, _, written, _ = balanced(2, lambda number: {"doctor": [0] * 27 + [1] * 25, "king": [0, 0, 0, 1]})
    assert len(written) == 1


def test_shares_that_nobody_measured_are_told_as_such():
    assert shares_remarks(DEBIASED) == [
        "Shares were not measured: each variant weighs as much as its part; balance them with a judge."
    ]
    assert shares_remarks(replace(DEBIASED, concepts=DEBIASED.concepts[:1])) == []


@pytest.mark.parametrize("part", ["-1", "0"])
def test_a_share_that_pictures_cannot_have_is_not_balanced(part):
    with pytest.raises(EditError, match="A part of “doctor” is not above 0"):
        wanted_shares(parse_concept_recipe(f"doctor -> woman: 3 | man: {part}"))
