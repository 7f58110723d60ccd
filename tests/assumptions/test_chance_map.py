"""The maps of edits by chance, on problems of a few numbers: each combination against the solve of its own columns."""

from itertools import product

import pytest
import torch
from edit_assumption.editing.assumptions.chance_map import ChanceMap, ChanceMapOn, progress_of, solve_chances, token_counts
from edit_assumption.editing.assumptions.closed_form import solve
from edit_assumption.editing.assumptions.token_columns import Columns
from edit_assumption.editing.errors import EditError

WIDTH = 8
LAMBDA = 0.3


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def columns(source, seed, strength=1.0, weight=1.0):
    return Columns.of(source, source + random(*source.shape, seed=seed), strength, weight)


def variants(source, seeds, weight, strength=1.0):
    """Of one subject: the same source tokens with other destinations, each in two parts."""
    halves = source[:1], source[1:]
    return [[columns(half, seed + 50 * part, strength, weight) for part, half in enumerate(halves)] for seed in seeds]


def a_problem(tokens):
    """What holds for every picture, preserved tokens among it, and two subjects of two and three variants."""
    held = random(tokens, WIDTH, seed=1)
    always = [columns(random(1, WIDTH, seed=2), 3, 0.5, 2.0), Columns.of(held, held, weight=0.25)]
    first = variants(random(2, WIDTH, seed=4), (5, 6), 3.0)
    unchanged = [Columns.of(part.source, part.source, weight=0.5) for part in variants(random(2, WIDTH, seed=7), (0,), 0.5)[0]]
    return always, [first, [*variants(random(2, WIDTH, seed=7), (8, 9), 0.5, -1.5), unchanged]]


MOMENT = (random(WIDTH, 30, seed=20) @ random(WIDTH, 30, seed=20).T / 30).double() + torch.eye(WIDTH).double()
PROTECTED = random(2, WIDTH, seed=21)


def change(context_map):
    return context_map.left.double() @ context_map.right.double()


def relative(found, expected):
    return float((found.double() - expected.double()).norm() / expected.double().norm())


def combinations(subjects):
    return list(product(*(range(len(each)) for each in subjects)))


@pytest.mark.parametrize("tokens", [1, 3, 4, 30], ids=["few", "as many as the width", "one more", "many"])
@pytest.mark.parametrize("moment", [None, MOMENT], ids=["identity", "moment"])
@pytest.mark.parametrize("protected", [None, PROTECTED], ids=["free", "beside tokens"])
def test_every_combination_is_the_solution_of_its_own_columns(tokens, moment, protected):
    always, subjects = a_problem(tokens)
    with torch.device("meta"):  # what is made without a word of where goes elsewhere here, and fits nothing
        chance = solve_chances(always, subjects, LAMBDA, moment, protected)
    assert chance.width == WIDTH and [len(part) for part in chance.variants] == [2, 3]
    for drawn in combinations(subjects):
        parts = [*always, *(part for each, own in zip(subjects, drawn, strict=True) for part in each[own])]
        alone = solve(parts, LAMBDA, False, moment, protected).context_map
        assert relative(change(chance.map_of(drawn)), change(alone)) < 1e-5


@pytest.mark.parametrize("tokens", [0, 30], ids=["few", "many"])
def test_pictures_may_have_nothing_in_common(tokens):
    source = random(2 + tokens, WIDTH, seed=4)
    subjects = [[[columns(source, seed)] for seed in (5, 6)]]
    with torch.device("meta"):
        chance = solve_chances([], subjects, LAMBDA)
    for own in (0, 1):
        alone = solve(subjects[0][own], LAMBDA, False).context_map
        assert relative(change(chance.map_of([own])), change(alone)) < 1e-5


def test_the_rank_is_the_lowest_that_all_have():
    """One token that is asked for thrice, and others that stay."""
    token, held = random(1, WIDTH, seed=4), random(3, WIDTH, seed=5)
    always = [Columns.of(held, held)]
    chance = solve_chances(always, [[[columns(token, seed)] for seed in (5, 6, 7)]], LAMBDA)
    assert chance.right.shape == (1, WIDTH) and chance.always.shape == (WIDTH, 1) and chance.variants[0].shape == (3, WIDTH, 1)
    assert float(chance.right.norm()) == pytest.approx(1)
    assert {part.dtype for part in (chance.always, *chance.variants, chance.right)} == {torch.float32}


def test_what_is_left_out_is_relative_to_all():
    """Requests of a millionth are fulfilled as well as whole ones."""
    source = random(3, WIDTH, seed=4)
    whole, small = (
        solve_chances([], [[[columns(source, seed, strength)] for seed in (5, 6)]], LAMBDA) for strength in (1.0, 1e-6)
    )
    assert small.right.shape == whole.right.shape == (3, WIDTH)
    assert relative(change(small.map_of([1])), 1e-6 * change(whole.map_of([1]))) < 1e-5


def test_where_nothing_is_drawn_it_is_one_map():
    always, _ = a_problem(3)
    chance = solve_chances(always, [], LAMBDA)
    assert (
        chance.variants == () and relative(change(chance.map_of(())), change(solve(always, LAMBDA, False).context_map)) < 1e-5
    )


def test_a_solution_that_is_not_finite_is_refused():
    parts = torch.zeros(3, 1), (torch.zeros(2, 3, 1),), torch.ones(1, 3)
    ChanceMap(*parts)
    for wrong in range(3):
        broken = [torch.zeros(3, 1), [torch.zeros(2, 3, 1)], torch.ones(1, 3)]
        broken[wrong] = [torch.full((2, 3, 1), torch.inf)] if wrong == 1 else broken[wrong] * torch.nan
        with pytest.raises(EditError) as caught:
            ChanceMap(*broken)
        assert str(caught.value) == "The edit is not finite; lower the strength or raise the regularization."


@pytest.fixture
def solved():
    always, subjects = a_problem(3)
    return solve_chances(always, subjects, LAMBDA)


def test_the_mean_weighs_every_variant_by_its_share(solved):
    shares = (0.25, 0.75), (0.5, 0.2, 0.3)
    expected = sum(shares[0][own[0]] * shares[1][own[1]] * change(solved.map_of(own)) for own in product(range(2), range(3)))
    for chance in (solved, solved.to(dtype=torch.float64)):
        with torch.device("meta"):
            mean = chance.mean(shares)
        assert relative(change(mean), expected) < 1e-5


@pytest.fixture
def elsewhere(monkeypatch):
    """Another device, on which there are no numbers that could be looked at."""
    monkeypatch.setattr(ChanceMap, "__post_init__", lambda self: None)
    return torch.device("meta")


def test_elsewhere_and_in_another_precision_it_is_the_same(solved, elsewhere):
    def parts(chance):
        return chance.always, *chance.variants, chance.right

    for own, wide in zip(parts(solved), parts(solved.to(dtype=torch.float64)), strict=True):
        assert wide.dtype == torch.float64 and torch.equal(wide, own.double()) and wide.device == own.device
    for own, away in zip(parts(solved), parts(solved.to(elsewhere)), strict=True):
        assert away.device == elsewhere and away.shape == own.shape and away.dtype == torch.float32


def test_rows_of_a_batch_are_mapped_in_at_least_the_maps_own_precision(solved):
    rows, drawn = random(3, 5, WIDTH, seed=30), [(1, 2), None, (0, 1)]
    before = rows.clone()
    mapped = solved.apply(rows, drawn)
    for row in (0, 2):
        expected = rows[row].double() + rows[row].double() @ change(solved.map_of(drawn[row])).T
        assert relative(mapped[row], expected) < 1e-6
    assert torch.equal(mapped[1], rows[1]) and torch.equal(rows, before)
    half = rows.half()
    found = solved.apply(half, drawn)
    assert found.dtype == torch.float16 and torch.equal(found, solved.apply(half.float(), drawn).half())
    double = solved.apply(rows.double(), drawn)
    assert double.dtype == torch.float64 and relative(double, mapped) < 1e-6


def test_it_is_copied_to_each_device_once(solved, elsewhere, monkeypatch):
    rows, drawn, copied, to = random(2, 5, WIDTH, seed=30), [(1, 2), (0, 0)], [], ChanceMap.to
    monkeypatch.setattr(ChanceMap, "to", lambda self, device: copied.append(device) or to(self, device))
    everywhere = ChanceMapOn(solved)
    assert torch.equal(everywhere.apply(rows, drawn), solved.apply(rows, drawn)) and copied == []
    for _ in range(2):
        mapped = everywhere.apply(rows.to(elsewhere), drawn)
        assert mapped.device == elsewhere and mapped.shape == rows.shape
    assert copied == [elsewhere]


def measured(always, subjects, shares, chance, unit):
    """What is asked, how far tokens go, and how far along, squared: what all pictures get, and each variant by its share."""
    sizes = torch.zeros(3, dtype=torch.float64)

    def add(parts, matrix, share):
        for part in parts:
            for token, target, strength, weight in zip(
                part.source.double(), part.targets().double(), part.strength, part.weight, strict=True
            ):
                asked = strength * (target - token) / unit
                if asked.any():
                    moved = matrix @ token / unit
                    sizes.add_(share * weight * torch.stack([asked @ asked, moved @ moved, moved @ asked]))

    add(always, change(chance.mean(shares)), 1.0)
    for subject, each in enumerate(subjects):
        for own, parts in enumerate(each):
            certain = [list(share) for share in shares]
            certain[subject] = [float(place == own) for place in range(len(each))]
            add(parts, change(chance.mean(certain)), shares[subject][own])
    return sizes.tolist()


@pytest.mark.parametrize("unit", [None, MOMENT.diagonal().sqrt()], ids=["ones", "a moment's"])
def test_progress_is_that_of_every_variant_by_its_share(solved, unit):
    always, subjects = a_problem(3)
    shares = (0.25, 0.75), (0.5, 0.2, 0.3)
    with torch.device("meta"):
        progress = progress_of(solved, always, subjects, shares, unit)
    expected = measured(always, subjects, shares, solved, torch.ones(WIDTH).double() if unit is None else unit)
    assert (progress.asked, progress.moved, progress.along) == pytest.approx(expected, rel=1e-5)


def test_a_variant_of_which_nothing_is_done_is_refused(solved):
    always, subjects = a_problem(3)
    shares = (0.25, 0.75), (0.5, 0.2, 0.3)
    gentle = solved.scale(1e-4)
    with pytest.raises(EditError) as caught:
        progress_of(gentle, always, subjects, shares)
    assert str(caught.value) == (
        "An edit by chance would change nothing: do not preserve its source, or lower the regularization."
    )
    assert progress_of(solved.scale(0.1), always, subjects, shares).residual() < 0.999


def test_an_edit_that_asks_for_nothing_is_refused():
    source = random(3, WIDTH, seed=4)
    nothing = [[Columns.of(source, source)]] * 2
    chance = solve_chances([], [[[columns(source, seed)] for seed in (5, 6)]], LAMBDA)
    with pytest.raises(EditError) as caught:
        progress_of(chance, [], [nothing], [(0.5, 0.5)])
    assert str(caught.value) == ("The edit would change nothing: the text encoder sees the same in source and destination.")


def test_tokens_are_counted_once_and_count_as_edited_where_any_variant_changes_them():
    token, other, held = (random(1, WIDTH, seed=seed) for seed in (1, 2, 3))
    always = [Columns.of(held, held), columns(other, 4)]
    source = torch.cat([token, held, other])

    def asked(*moved):
        return [Columns.of(source, source + torch.tensor(moved)[:, None].float())]

    subjects = [[asked(0, 0, 0), asked(1, 0, 0)]]
    parts = [*always, *subjects[0][0]]
    assert token_counts(parts, always, subjects) == (3, 2)
    assert token_counts(parts, always, [[asked(0, 0, 0), asked(0, 0, 0)]]) == (3, 1)
    assert token_counts(parts, always, [[asked(1, 0, 0), asked(0, 1, 0)]]) == (3, 3)
