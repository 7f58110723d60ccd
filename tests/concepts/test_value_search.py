"""Stage one by hand: what a value is searched by, what stops it, and what the noise teacher compares."""

import pytest
import torch
from concept_towers import new_model, tokenize, tower_of
from edit_assumption.editing.concepts.concept_lines import Concept
from edit_assumption.editing.concepts.noise_teacher import NoiseTeacher
from edit_assumption.editing.concepts.sentences import sentences_of
from edit_assumption.editing.concepts.tower import Tower
from edit_assumption.editing.concepts.values import ValueSettings, find_values, turns_of

WIDTH, LAST = 32, 4
CONCEPTS = [Concept("rose", "tulip"), Concept("cat", "a painting of a dog")]
TEMPLATES = ("a {}", "a photo of a {}")


@pytest.fixture(scope="module")
def tower():
    return tower_of(new_model(WIDTH))


@pytest.fixture(scope="module")
def sentences():
    return sentences_of(CONCEPTS, tokenize, TEMPLATES)


def read(tower, sentences, shifts):
    """What the diffusion model reads, whole, with each concept's shift behind the last edited layer."""
    stream = tower.run(tower.embed(sentences.ids), 0, LAST + 1)
    subjects = torch.nn.functional.one_hot(sentences.subject, stream.shape[1])[..., None]
    return tower.finish(stream + subjects * shifts[sentences.concept][:, None], LAST + 1)


def norms(tower, sentences):
    """(concepts,) of the mean of a concept's streams at its subject."""
    stream = tower.run(tower.embed(sentences.ids), 0, LAST + 1)[torch.arange(len(sentences.ids)), sentences.subject]
    return stream.unflatten(0, (-1, len(TEMPLATES))).mean(1).norm(dim=1)


def text_loss(tower, sentences, shifts):
    """(concepts,) the mean over sentences of sum_rows weight |said - meant|² / the same without a shift."""
    meant = tower.finish(tower.embed(sentences.destination), 0)

    def apart(contexts):
        totals = []
        for number in range(len(contexts)):
            pairs = zip(sentences.rows[number], sentences.answers[number], sentences.weight[number], strict=True)
            totals.append(sum(weight * (contexts[number, ours] - meant[number, theirs]).square().sum()
                              for ours, theirs, weight in pairs))  # fmt: skip
        return torch.stack(totals)

    relative = apart(read(tower, sentences, shifts)) / apart(read(tower, sentences, torch.zeros_like(shifts)))
    return relative.unflatten(0, (-1, len(TEMPLATES))).mean(1)


def test_the_first_step_goes_down_the_texts_slope(tower, sentences):
    """Adam's first step is its rate in every direction: the rate is relative to the stream over the root of its width."""
    found = find_values(tower, sentences, LAST, ValueSettings(steps=1, rate=0.01))
    shifts = torch.zeros(2, WIDTH, requires_grad=True)
    (slope,) = torch.autograd.grad(text_loss(tower, sentences, shifts).sum(), shifts)
    expected = -0.01 * norms(tower, sentences)[:, None] / WIDTH**0.5 * slope.sign()
    assert torch.allclose(found.shifts.float(), expected, atol=1e-4)
    assert torch.allclose(found.after, text_loss(tower, sentences, expected), atol=1e-4)


class Silent:
    """A teacher of losses that are 0; of several, they take turns."""

    def __init__(self, turns):
        self.turns = turns

    def __call__(self, part, edited, meant, step):
        return edited.sum((1, 2)) * 0


@pytest.mark.parametrize("decay", [0.1, 1.0])
@pytest.mark.parametrize("distill", [None, Silent(1), Silent(3)], ids=["no teacher", "a silent one", "silent ones in turn"])
def test_a_value_is_the_least_of_text_and_decay(tower, sentences, decay, distill):
    found = find_values(tower, sentences, LAST, ValueSettings(steps=120, decay=decay), distill)

    def loss(shifts):
        size = shifts.square().sum(1) / norms(tower, sentences).square()
        return text_loss(tower, sentences, shifts) + decay * size

    with torch.no_grad():
        best = loss(found.shifts.float())
        assert (best < 0.999 * loss(torch.zeros(2, WIDTH))).all()
        assert all((best < loss(share * found.shifts.float())).all() for share in (0.8, 1.25))


def test_a_value_is_no_longer_than_the_clamp(tower, sentences):
    found = find_values(tower, sentences, LAST, ValueSettings(steps=30, clamp=0.25))
    assert torch.allclose(found.shifts.float().norm(dim=1), 0.25 * norms(tower, sentences), rtol=1e-4)
    found = find_values(tower, sentences, LAST, ValueSettings(steps=3, rate=2e-4, clamp=1e-4))
    assert torch.allclose(found.shifts.float().norm(dim=1), 1e-4 * norms(tower, sentences), rtol=1e-4)


def test_what_is_left_is_relative_to_what_there_was(tower, sentences):
    """So that an encoder of small numbers has the same values."""
    weights = {name: entry * 1e-4 if name.startswith("final") else entry for name, entry in tower.weights.items()}
    small = find_values(Tower(weights, tower.heads, tower.activation, tower.depth), sentences, LAST, ValueSettings(steps=3))
    plain = find_values(tower, sentences, LAST, ValueSettings(steps=3))
    assert torch.allclose(small.before, torch.ones(2)) and torch.allclose(small.after, plain.after, rtol=1e-3)
    assert torch.allclose(small.shifts, plain.shifts, rtol=1e-2, atol=1e-3)


def bare(tower):
    """Without final norm, and the search behind its last layer: what is read at a subject is the stream and the shift."""
    return Tower(tower.weights, tower.heads, tower.activation, tower.depth, final_norm=False), tower.depth - 1


def test_what_gets_no_better_goes_on_from_its_best_in_halved_steps(tower, sentences):
    """With the same slope throughout and a loss that only grows: six steps, then five of half the size, thrice."""
    seen = []

    def growing(part, edited, meant, step):
        seen.append(edited[0, part.subject[0], 0].item())
        return edited[torch.arange(len(edited)), part.subject].sum(1) + 1e6 * len(seen)

    straight, last = bare(tower)
    found = find_values(straight, sentences, last, ValueSettings(rate=0.1, decay=0.0, text=0.0), growing)
    moved = (torch.tensor(seen) - seen[0]) / (seen[1] - seen[0])
    halved = [share * step for share in (1 / 2, 1 / 4, 1 / 8) for step in range(6)]
    assert torch.allclose(moved, torch.tensor([*range(7), *halved]), atol=0.01)
    assert (found.steps == 24).all() and torch.equal(found.shifts, torch.zeros(2, WIDTH).double())


def test_the_best_value_counts_not_the_last(tower, sentences):
    found = find_values(tower, sentences, LAST, ValueSettings(steps=4, rate=500.0, clamp=1e6))
    assert torch.equal(found.shifts, torch.zeros(2, WIDTH).double()) and torch.equal(found.after, found.before)


def test_a_loss_below_0_is_no_better_for_standing_still(tower, sentences):
    """As by the user's pictures: relative to a loss below 0, a little more of it is less."""

    def standing(part, edited, meant, step):
        return edited.sum((1, 2)) * 0 - 5.0

    found = find_values(tower, sentences, LAST, ValueSettings(steps=60, text=0.0), standing)
    assert (found.steps == 24).all() and (found.after == -5).all()


def test_a_loss_that_falls_by_less_than_a_five_hundredth_gets_no_better(tower, sentences):
    calls = []

    def creeping(part, edited, meant, step):
        calls.append(step)
        return edited.sum((1, 2)) * 0 + 10 - 0.01 * len(calls)

    found = find_values(tower, sentences, LAST, ValueSettings(steps=60, text=0.0, decay=0.0), creeping)
    assert (found.steps == 24).all()


class Turns:
    """Losses that take turns: in each another target for what the model reads."""

    turns = 3

    def __init__(self, sign=1.0):
        self.sign, self.calls = sign, []

    def __call__(self, part, edited, meant, step):
        self.calls.append((step, edited.detach()))
        target = meant + torch.randn(meant.shape, generator=torch.Generator().manual_seed(step % self.turns))
        return self.sign * (edited - target)[:, :12].square().sum((1, 2)) / 1e4


def test_losses_that_take_turns_are_asked_in_turn_and_told_as_their_mean(tower, sentences):
    distill = Turns()
    settings = ValueSettings(steps=9, lead=4, text=0.5)
    found = find_values(tower, sentences, LAST, settings, distill)
    whole = sentences.cut().whole(read(tower, sentences.cut(), torch.zeros(2, WIDTH)))
    steps, contexts = zip(*distill.calls, strict=True)
    assert steps == (0, -4, -3, -2, -1, 0, 1, 2, 3, 4, 0, 1, 2)  # unedited; lead; five steps in turn; the value itself
    assert torch.allclose(contexts[0], whole, atol=1e-5) and torch.equal(contexts[1], contexts[0])
    final = sentences.cut().whole(read(tower, sentences.cut(), found.shifts.float()))
    assert all(torch.allclose(entry, final, atol=1e-4) for entry in contexts[10:])
    meant = sentences.cut().whole(tower.finish(tower.embed(sentences.cut().destination), 0))
    means = torch.stack([sentences.mean(Turns()(None, final, meant, turn)) for turn in range(3)]).mean(0)
    assert torch.allclose(found.after, means, rtol=1e-4) and (found.steps == 9).all()
    assert turns_of(distill) == 3 and turns_of(None) == turns_of(lambda *_: None) == 1


def test_steps_by_turns_fall_to_nothing(tower, sentences):
    """With the same slope throughout, Adam goes its rate at each step: less and less of the lead's, then of another."""

    class Straight(Turns):
        def __call__(self, part, edited, meant, step):
            return edited[torch.arange(len(edited)), part.subject] @ torch.linspace(-1, 1, WIDTH) * 1e-3

    straight, last = bare(tower)
    settings = ValueSettings(steps=7, rate=0.3, lead=2, settling=0.1, decay=0.0, text=0.0)
    found = find_values(straight, sentences, last, settings, Straight())
    own = straight.run(straight.embed(sentences.ids), 0, last + 1)[torch.arange(len(sentences.ids)), sentences.subject]
    size = own.unflatten(0, (-1, len(TEMPLATES))).mean(1).norm(dim=1, keepdim=True)
    way = -0.1 * size / WIDTH**0.5 * (3 + 1.5 + 1 + 0.8 + 0.6 + 0.4 + 0.2) * torch.linspace(-1, 1, WIDTH).sign()
    assert torch.allclose(found.shifts.float(), way, rtol=1e-3)


def test_what_losses_by_turns_only_worsen_stays(tower, sentences):
    class Climbing(Turns):
        def __call__(self, part, edited, meant, step):
            self.calls.append(step)
            return (edited - meant)[:, :12].square().sum((1, 2)) * 0 + float(len(self.calls))

    found = find_values(tower, sentences, LAST, ValueSettings(steps=3), Climbing())
    assert torch.equal(found.shifts, torch.zeros(2, WIDTH).double()) and torch.equal(found.after, found.before)


def test_a_teacher_without_weight_is_not_asked(tower, sentences):
    distill = Turns()
    found = find_values(tower, sentences, LAST, ValueSettings(steps=3, model=0.0), distill)
    assert not distill.calls and torch.equal(found.shifts, find_values(tower, sentences, LAST, ValueSettings(steps=3)).shifts)


PICTURES = [torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)]


class Model:
    """A diffusion model whose prediction is easily written down, and what it was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, clean, noise, points, contexts):
        self.asked.append((clean, noise, points))
        return self.formula(clean, noise, points, contexts)

    @staticmethod
    def formula(clean, noise, points, contexts):
        said = contexts.mean(1)[:, :4].unsqueeze(1)
        return clean + (1 + points.view(-1, 1, 1)) * noise * said + said


def led(sentences, edited, meant, step):
    return (edited - meant)[:, 5, 0] + step


def teacher_and_contexts(sentences, turns=4):
    model = Model()
    generator = torch.Generator().manual_seed(5)
    source, meant, edited = torch.randn(3, len(sentences.ids), 77, WIDTH, generator=generator)
    teacher = NoiseTeacher(model, PICTURES, len(TEMPLATES), led, seed=3, turns=turns)
    return model, teacher, source, meant, edited


def test_the_noise_teacher_compares_with_what_the_meant_text_predicts(sentences):
    model, teacher, source, meant, edited = teacher_and_contexts(sentences)
    begun = torch.stack([teacher(sentences, source, meant, step) for step in range(4)])
    assert torch.allclose(begun.mean(0).unflatten(0, (2, 2)).mean(1), torch.ones(2))  # 1 before the edit
    assert all((teacher(sentences, meant, meant, step) == 0).all() for step in range(4))
    turns = [model.asked[2 * turn] for turn in range(4)]
    assert torch.equal(teacher(sentences, edited, meant, -2), led(sentences, edited, meant, -2))  # below 0 it is led

    def apart(contexts, turn):
        difference = Model.formula(*turns[turn], contexts) - Model.formula(*turns[turn], meant)
        return difference.square().sum((1, 2))

    # One scale for all turns of a concept: what the source's prediction is away from the meant one's on average.
    scale = torch.stack([apart(source, turn) for turn in range(4)]).mean(0).unflatten(0, (2, 2)).mean(1)
    for step in range(6):
        expected = apart(edited, step % 4) / scale.repeat_interleave(2)
        assert torch.allclose(teacher(sentences, edited, meant, step), expected, rtol=1e-4)


def test_noises_and_points_of_the_schedule_change_from_turn_to_turn(sentences):
    model, teacher, source, meant, _ = teacher_and_contexts(sentences)
    for step in range(5):
        teacher(sentences, source, meant, step)
    cleans, noises, points = (torch.stack(parts) for parts in zip(*model.asked[8:], strict=True))
    assert torch.equal(points[0], points[4]) and torch.equal(noises[0], noises[4])
    assert len(set(points[:4].flatten().tolist())) == 16 and len(set(noises[:4, :, 0, 0].flatten().tolist())) == 16
    for own in points[:4].unflatten(1, (2, 2)).unbind(1):  # a concept's: spread evenly over the noisier half
        assert torch.equal(((own.flatten().sort().values - 0.5) * 2 * 8).long(), torch.arange(8))
    for concept, own in enumerate(cleans[:4].unflatten(1, (2, 2)).unbind(1)):  # its pictures, one after the other
        assert all(torch.equal(row, PICTURES[concept][n % 3]) for n, row in enumerate(own.flatten(0, 1)))


def test_a_concepts_noise_loss_is_its_own(sentences):
    _, both, source, meant, edited = teacher_and_contexts(sentences)
    _, alone, *_ = teacher_and_contexts(sentences)
    second = sentences.of(torch.tensor([1]))
    both(sentences, source, meant, 0), alone(second, source[2:], meant[2:], 0)
    assert torch.allclose(both(sentences, edited, meant, 1)[2:], alone(second, edited[2:], meant[2:], 1))
    assert torch.allclose(both(second, edited[2:], meant[2:], 1), alone(second, edited[2:], meant[2:], 1))


def test_the_noise_teacher_teaches_through_a_search(tower, sentences):
    """The meant text is told from the source by the predictions alone, and the value closes in on it."""
    teacher = NoiseTeacher(Model(), PICTURES, len(TEMPLATES), led)
    settings = ValueSettings(steps=30, text=0.0, decay=0.0, settling=0.3)
    found = find_values(tower, sentences, LAST, settings, teacher)
    assert (found.after < 0.7).all() and turns_of(teacher) == 8


def test_the_noise_teachers_seeds_and_its_lead(sentences):
    """A concept's own noise: from one seed and its place, or from a seed of its own."""

    def lead(*given):
        return given

    def teacher(**settings):
        return NoiseTeacher(Model(), PICTURES, len(TEMPLATES), lead, **settings)

    assert teacher(seed=3).seeds == [3_000_009, 3_000_010] and teacher(seed=[5, 9]).seeds == [5, 9]
    assert teacher().seeds == [0, 1] and teacher().turns == 8
    with pytest.raises(ValueError, match=r"^pictures of the user's own need to be told what is right$"):
        teacher(own=[0])(sentences, *torch.randn(2, 4, 77, WIDTH), 0)
    edited, meant = torch.zeros(2, 1)
    assert teacher()(sentences, edited, meant, -1) == (sentences, edited, meant, -1)
