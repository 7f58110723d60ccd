"""Our readings of newer peers, each against its equations written out."""

from dataclasses import replace

import pytest
import torch

pytest.importorskip("diffusers", reason="diffusers is not installed")

from edit_assumption.editing.assumptions.context_map import ContextMap
from edit_assumption.editing.encoding import Chunk, EncodedPrompt
from edit_assumption.editing.errors import EditError
from edit_assumption.evaluation.peers.cure import Cure, expansion, redirected, spectral_projector
from edit_assumption.evaluation.peers.fair_imagen import FairImagen, fair_hats
from edit_assumption.evaluation.peers.listed import peers
from edit_assumption.evaluation.peers.rece import Rece, evoking
from edit_assumption.evaluation.peers.semantic_surgery import SemanticSurgery, presence, semantic_surgery
from edit_assumption.evaluation.peers.speed import Speed, change_in_null_space, invariants_of, null_space
from edit_assumption.evaluation.peers.text_gram import text_gram
from edit_assumption.evaluation.suite import pocket_suite
from edit_assumption.evaluation.suite_methods import Seen, last_words, uce
from edit_assumption.evaluation.suite_run import SuiteSettings
from edit_assumption.pipelines.generate import generate
from edit_assumption.pipelines.pipeline_encoder import encode_prompts
from edit_assumption.pocket.captions import bare_captions, caption
from edit_assumption.pocket.model import pipeline
from edit_assumption.pocket.words import ROLES

WIDTH = 12
EDITS = pocket_suite()[:2]


def random_rows(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def random_tokens(prompts):
    """Each prompt's rows by chance, the start alike."""
    encoded = []
    for prompt in prompts:
        words = prompt.split()
        rows = random_rows(12, WIDTH, seed=sum(map(ord, prompt))).float()
        rows[0] = 1
        tokens = ("<start>", *words, *["<end>"] * (11 - len(words)))
        encoded.append(EncodedPrompt(tokens, (Chunk(0, range(1, 1 + len(words)), 12),), rows))
    return encoded


def few_bare(monkeypatch, count=4):
    """Fewer names than directions, so that there is room for an edit beside them."""
    monkeypatch.setattr(Seen, "bare", property(lambda seen: bare_captions()[:count]))


WEIGHTS = (random_rows(7, WIDTH, seed=1), random_rows(9, WIDTH, seed=2))
SEEN = Seen(random_tokens, weights=lambda: WEIGHTS)
STACKED = torch.cat(WEIGHTS)


@pytest.fixture(scope="module")
def pipe():
    return pipeline()


def test_the_gram_matrix_is_that_of_all_weights_and_the_identity_without():
    assert torch.allclose(text_gram(SEEN, WIDTH), STACKED.T @ STACKED)
    assert torch.equal(text_gram(Seen(random_tokens), WIDTH), torch.eye(WIDTH).double())


def test_rece_finds_what_evokes_a_token_still():
    context_map, tokens, ridge = uce(SEEN, EDITS), random_rows(2, WIDTH), 0.05
    edited = STACKED @ context_map.dense().double()
    # ||W' c' - W c||² + ridge ||c'||² as one least-squares problem
    left = torch.cat([edited, ridge**0.5 * torch.eye(WIDTH)])
    right = torch.cat([STACKED @ tokens.T, torch.zeros(WIDTH, 2)])
    direct = torch.linalg.lstsq(left, right).solution.T
    assert torch.allclose(evoking(context_map, text_gram(SEEN, WIDTH), tokens, ridge), direct, atol=1e-8)


def test_one_pass_of_rece_edits_the_edited_weights_once_more(monkeypatch):
    few_bare(monkeypatch)
    edited, kept = last_words(SEEN, EDITS)
    source, target, preserved = (rows.double().T for rows in (edited.source, edited.targets(), kept.source))

    def solved(weight, columns):
        """UCE's equation 7: (lambda W + sum v c^T)(lambda I + sum c c^T)^-1, on the weights as they are."""
        values = weight @ target @ columns.T + weight @ preserved @ preserved.T + 0.1 * weight
        return values @ torch.linalg.inv(columns @ columns.T + preserved @ preserved.T + 0.1 * torch.eye(WIDTH))

    weight = solved(STACKED, source)
    assert torch.allclose(STACKED @ uce(SEEN, EDITS).dense().double(), weight, atol=1e-4)
    for passes in (1, 2):
        system = 1e-3 * torch.eye(WIDTH) + weight.T @ weight
        weight = solved(weight, torch.linalg.solve(system, weight.T @ STACKED @ source))
        assert torch.allclose(STACKED @ Rece(passes)(SEEN, EDITS).dense().double(), weight, atol=1e-3), passes


def test_speed_solves_its_least_squares_beside_what_it_holds():
    sources, anchors, retained, held = (random_rows(n, WIDTH, seed=n) for n in (3, 13, 5, 2))
    anchors = anchors[:3]
    projector = null_space(retained, 1e-9)
    change = change_in_null_space(sources, anchors, projector, held)
    # the same problem over an orthonormal basis T of what neither touches: Δ P = Z T^T
    both = torch.cat([torch.eye(WIDTH).double() - projector, held])
    basis = torch.linalg.svd(both).Vh[7:].T
    assert basis.shape == (WIDTH, WIDTH - 5 - 2) and float((both @ basis).abs().max()) < 1e-9
    weight = WEIGHTS[0]
    inside = basis.T @ sources.T
    free = weight @ (anchors - sources).T @ inside.T @ torch.linalg.inv(inside @ inside.T + torch.eye(WIDTH - 7))
    assert torch.allclose(weight @ change, free @ basis.T, atol=1e-9)
    for still in (retained, held):
        assert float((weight @ change @ still.T).abs().max()) < 1e-6 < float((weight @ change @ sources.T).abs().max())


def test_directions_below_the_threshold_are_free():
    retained = torch.eye(WIDTH).double()[:4] * torch.tensor([[4.0], [2.0], [1.0], [0.1]])
    free = null_space(retained, 0.5)  # second moments 4, 1, 0.25, 0.0025 and nothing else
    assert torch.allclose(free, torch.diag(torch.tensor([0.0, 0.0, *[1.0] * 10])).double(), atol=1e-9)


def test_speed_leaves_the_empty_prompt_and_the_retained_alone(monkeypatch):
    few_bare(monkeypatch)
    empty = random_tokens([""])[0].embeddings
    # The copies' moves are a direction of its own, so that three of four kept tokens at most and it are held.
    context_map = Speed(threshold=1e-7)(SEEN, EDITS)
    held = invariants_of(empty.double()).float()
    assert float((context_map.apply(held) - held).abs().max()) < 1e-5
    edited, kept = last_words(SEEN, EDITS)
    moved = (context_map.apply(kept.source) - kept.source).norm(dim=1)
    assert float(moved.min()) < 1e-5 < float((context_map.apply(edited.source) - edited.source).norm(dim=1).min())


def test_the_spectral_eraser_takes_away_what_is_not_retained():
    forget, retain, alpha = random_rows(3, WIDTH), random_rows(4, WIDTH, seed=1), 5.0

    def projector(rows):
        _, sizes, right = torch.linalg.svd(rows, full_matrices=False)
        share = sizes**2 / (sizes**2).sum()
        return right.T @ torch.diag(alpha * share / ((alpha - 1) * share + 1)) @ right

    assert torch.allclose(spectral_projector(forget, alpha), projector(forget))
    discriminative = projector(forget) - projector(forget) @ projector(retain)
    erased = redirected(forget, torch.zeros_like(forget), retain, alpha).dense().double()
    assert torch.allclose(WEIGHTS[0] @ erased, WEIGHTS[0] - WEIGHTS[0] @ discriminative, atol=1e-5)


def test_the_expansion_gives_weak_directions_more_with_a_larger_alpha():
    sizes = torch.tensor([2.0, 1.0])
    assert expansion(sizes, 1.0).tolist() == pytest.approx([0.8, 0.2])
    assert expansion(sizes, 4.0).tolist() == pytest.approx([3.2 / 3.4, 0.8 / 1.6])


def test_what_cure_takes_comes_back_as_the_destination():
    forget, become = random_rows(3, WIDTH), random_rows(3, WIDTH, seed=5)
    retain = torch.linalg.svd(forget).Vh[3:5]  # beside it, so that nothing of it is retained
    moved = redirected(forget, become, retain, 1e9).apply(forget.float()).double()
    assert torch.allclose(moved, become, atol=1e-4)
    half = redirected(forget, become, retain, 2.0)
    left, sizes, right = torch.linalg.svd(forget, full_matrices=False)
    given = become.T @ left @ torch.diag(expansion(sizes, 2.0) / sizes) @ right
    assert torch.allclose(half.dense().double(), torch.eye(WIDTH) - spectral_projector(forget, 2.0) + given, atol=1e-5)


def embeddings(*prompts):
    return torch.stack([encoded.embeddings for encoded in random_tokens(prompts)])


def test_semantic_surgery_exchanges_what_a_prompt_is_found_to_speak_of():
    surgery = SemanticSurgery(random_tokens, (("a rose", "a blue rose"), ("a cat", "a red cat")), beta=-0.5)
    neutral, rose, blue, cat, other = embeddings("", "a rose", "a blue rose", "a cat", "look at a pear")
    # random texts have nothing in common, so a prompt speaks of a concept as far as it is put there
    speaks, both = neutral * 0.1 + 2 * (rose - neutral), (rose - neutral) + (cat - neutral)
    mapped = surgery.apply(torch.stack([speaks, other, neutral, both]))
    alike = torch.cosine_similarity(rose - neutral, speaks, dim=-1).mean()
    alpha = 1 / (1 + torch.exp(-(alike - 0.5) / 0.02))
    assert float(alpha) > 0.5 and torch.allclose(presence(speaks[None], rose - neutral, -0.5), alpha[None])
    assert torch.allclose(mapped[0], speaks - alpha * (rose - blue), atol=1e-5)
    assert torch.equal(mapped[1], other) and torch.equal(mapped[2], neutral)
    together, written = embeddings("a rose, a cat", "a blue rose, a red cat")
    alphas = [presence(both[None], concept - neutral, -0.5) for concept in (rose, cat)]
    assert min(alphas) > 0.5 and torch.allclose(mapped[3], both - max(alphas) * (together - written), atol=1e-5)
    assert surgery == replace(surgery) and surgery != replace(surgery, beta=0.0)


def test_fair_pca_leaves_nothing_that_tells_the_groups_and_what_is_strongest_beside():
    one, other = random_rows(9, WIDTH) + 1, random_rows(6, WIDTH, seed=1) - 1
    fair = FairImagen.fit(one, other, kept=0.5, noise=0.0)
    kept = fair.kept.double()
    assert kept.shape == (WIDTH, 6) and torch.allclose(kept.T @ kept, torch.eye(6).double(), atol=1e-6)
    mapped = [fair.apply(rows.float()[None], [0.0])[0].double() for rows in (one, other)]
    assert torch.allclose(mapped[0].mean(0), mapped[1].mean(0), atol=1e-5)
    rows = torch.cat([one, other])
    direction = torch.nn.functional.normalize(one.mean(0) - other.mean(0), dim=0)
    beside = rows - (rows @ direction)[:, None] * direction
    energy = torch.linalg.svdvals(beside)[:6].square().sum()
    assert float((rows @ kept).square().sum()) == pytest.approx(float(energy), rel=1e-5)
    noisy = replace(fair, noise=0.6).apply(one.float()[:2, None], [2.0, -1.0])
    plain = fair.apply(one.float()[:2, None], [0.0, 0.0])
    along = (noisy - plain)[:, 0] / fair.direction
    assert torch.allclose(along, torch.tensor([[1.2], [-0.6]]).expand(2, WIDTH), atol=1e-3)


def test_noise_is_what_either_group_says_and_follows_the_seed():
    fair = FairImagen.fit(random_rows(9, WIDTH) + 1, random_rows(6, WIDTH, seed=1) - 1)
    drawn = fair.draw(range(400))
    one, other = (set(said.tolist()) for said in fair.said)
    assert set(drawn) == one | other and drawn[7] == fair.draw([7])[0]
    assert 150 < sum(value in one for value in drawn) < 250


def test_every_reading_edits_the_pocket_model(pipe):
    seen, edit = Seen.of(pipe), EDITS[0]
    assert len(seen.weights()) == 14 and {weight.shape for weight in seen.weights()} == {(96, 128)}
    source, other = encode_prompts(pipe, [edit.source, edit.specificity[0].prompt])
    word = seen.encode([edit.source])[0].words[-1]
    for name, method in peers().items():
        changed, still = method.solve(seen, [edit]).apply(torch.stack([source, other]))
        moved = (changed - source)[word]
        assert float(moved.norm()) > 0.05 * float(source[word].norm()), name
        assert float((still - other).norm()) < float((changed - source).norm()), name


def test_pictures_are_drawn_through_maps_of_whole_prompts_and_of_each_picture(pipe):
    seen, edit = Seen.of(pipe), EDITS[0]
    prompts, seeds = [edit.source, edit.specificity[0].prompt], [1, 1]
    plain = generate(pipe, prompts, seeds, steps=2)
    changed = generate(pipe, prompts, seeds, semantic_surgery(seen, [edit]), steps=2)
    assert not torch.allclose(changed[0], plain[0], atol=0.05) and torch.allclose(changed[1], plain[1], atol=1e-4)
    fair, role = fair_hats(seen.encode), caption(ROLES[0], {})
    one, other, same = generate(pipe, [role] * 3, [1] * 3, by_chance=(fair, [10.0, -10.0, 10.0]), steps=2)
    assert torch.allclose(one, same, atol=1e-4) and not torch.allclose(one, other, atol=0.05)


def settings(**asked):
    return SuiteSettings(**{"split": "test", "names": (), "seeds": 1, "steps": 1, "together": (1,), **asked})


def test_peers_are_named_or_asked_for():
    readings = list(peers())
    assert all(name.startswith("our reading of ") and method.name == name for name, method in peers().items())
    assert settings(names=["our reading of SPEED"]).method_names() == ["our reading of SPEED"]
    assert settings().method_names() == ["unedited", "oracle", "TIME", "UCE", "ours"]
    assert settings(peers=True).method_names() == ["unedited", "oracle", "TIME", "UCE", "ours", *readings]
    assert settings(names=["ours", readings[1]], peers=True).method_names() == ["ours", readings[1], readings[0], *readings[2:]]
    with pytest.raises(EditError, match="leave out"):
        settings(variants=True, peers=True).method_names()


def test_equal_maps_of_whole_prompts_are_drawn_once():
    assert semantic_surgery(SEEN, EDITS) == semantic_surgery(replace(SEEN, held_out=frozenset({"rose"})), EDITS)
    assert isinstance(Cure()(SEEN, EDITS), ContextMap)
