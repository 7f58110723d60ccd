"""Joint edits: the arithmetic of the measures with pictures as told, groups, reports; and the methods on a real pipeline."""

from contextlib import contextmanager

import pytest
import torch

pytest.importorskip("diffusers", reason="diffusers is not installed")

from edit_assumption.editing.assumptions.context_map import ContextMap
from edit_assumption.editing.concepts.concept_lines import Concept
from edit_assumption.editing.errors import EditError
from edit_assumption.evaluation.joint import (
    Held,
    JointMethod,
    JointScores,
    JointSuite,
    MeasuredConcept,
    ScoredPictures,
    Shot,
    joint_groups,
    run_jointly,
    shots,
)
from edit_assumption.evaluation.joint_methods import joint_methods
from edit_assumption.evaluation.joint_report import read_joint, taken, write_joint
from edit_assumption.evaluation.suite_methods import Seen, ours, time_as_published, uce
from edit_assumption.pipelines.command_inputs import POCKET_TEMPLATES, Settings
from edit_assumption.pipelines.draw import draw_pictures
from edit_assumption.pipelines.edited_projections import edited_projections
from edit_assumption.pipelines.generate import generate
from edit_assumption.pocket.captions import bare_captions, ordinary_captions
from edit_assumption.pocket.judge import load_judge
from edit_assumption.pocket.model import GUIDANCE, STEPS, pipeline

NAMES = ["rose", "tulip", "cat", "dog", "star", "tree", "bee", "car"]


def told(pipe, prompts, seeds):
    """A picture whose every number is that of what is shown: the prompt's last word, or what ``pipe`` has it mean."""
    pipe["drawn"].extend(zip(prompts, seeds, strict=True))
    shown = [NAMES.index(pipe["means"].get(prompt.split()[-1], prompt.split()[-1])) for prompt in prompts]
    return torch.tensor(shown)[:, None, None, None].expand(-1, 3, 2, 2)


def names_it(pictures, names):
    return [int(picture[0, 0, 0]) == NAMES.index(name) for picture, name in zip(pictures, names, strict=True)]


def method(name, also=None):
    """Makes every source mean its destination, and harms something."""

    @contextmanager
    def put_on(pipe, concepts):
        pipe["asked"].append([concept.source for concept in concepts])
        pipe["means"] = {concept.source: concept.destination for concept in concepts} | (also or {})
        yield
        pipe["means"] = {}

    return JointMethod(name, put_on)


def case(source, destination, sentences=("a {}",), **more):
    return MeasuredConcept(Concept(source, destination), shots(source, sentences, [1]), **more)


def new_pipe():
    return {"means": {}, "drawn": [], "asked": []}


def test_measures_by_hand():
    pipe = new_pipe()
    cases = [
        case("rose", "tulip", ("a {}", "the {}"), others=(Shot("a red rose", 2),), aliases=(Shot("a bee", 3),)),
        case("cat", "dog"),
    ]
    held = [Held(Shot("a star", 4), "star"), Held(Shot("a tree", 4), "tree"), Held(Shot("a car", 4), "cat")]
    methods = [method("right", {"bee": "tulip"}), method("harmful", {"rose": "rose", "star": "tree"})]
    right, harmful = run_jointly(ScoredPictures(pipe, names_it, told, at_once=2), methods, JointSuite(cases, held, [2]))
    found = {measure: right.values(measure) for measure in taken([right])}
    assert found == {
        "source forget": [1, 1],
        "source to destination": [1, 1],
        "source forget, other sentences": [1],
        "source to destination, other sentences": [1],
        "alias to destination": [1],
        "holdout delta": [0, 0, 0],
    }
    assert harmful.values("source to destination") == [0, 1] and harmful.mean("source forget") == 0.5
    assert harmful.values("alias to destination") == [0] and harmful.values("holdout delta") == [-1, 0, 0]
    assert right.scores["holdout"] == [(1, 1), (1, 1), (0, 0)] and pipe["asked"] == [["rose", "cat"]] * 2
    # Five pictures of cases and three held out: once unedited, once for each method.
    assert len(pipe["drawn"]) == 3 * 8 and pipe["drawn"].count(("a rose", 1)) == 3


def test_what_is_forgotten_has_no_destination():
    asked = MeasuredConcept(Concept("rose", ""), (Shot("a rose", 1),)).asked()
    assert asked == {"source": [(Shot("a rose", 1), "rose")]}


def test_groups_measure_the_same_concepts_at_every_count():
    cases = [case(source, "car") for source in NAMES[:7]]
    assert joint_groups(cases, 3) == [(cases[:3], cases[:3])]
    assert joint_groups(cases, 1, 2) == [(cases[:1], cases[:1]), (cases[1:2], cases[1:2])]
    assert joint_groups(cases, 7, 2) == [(cases, cases[:2])]
    first, second = joint_groups(cases, 5, 7)
    assert first == (cases[:5], cases[:5]) and second == ([*cases[5:], *cases[:3]], cases[5:])
    with pytest.raises(EditError, match="7 concepts, so 8"):
        joint_groups(cases, 8)


def test_each_group_sees_a_share_of_what_is_held_out():
    pipe = new_pipe()
    held = [Held(Shot(f"a {name}", seed), name) for name in ("star", "tree") for seed in (1, 2)]
    suite = JointSuite([case("rose", "cat"), case("bee", "cat")], held, [1], 2)
    (found,) = run_jointly(ScoredPictures(pipe, names_it, told), [method("any")], suite)
    assert found.together == 1 and len(found.scores["holdout"]) == 4 and pipe["asked"] == [["rose"], ["bee"]]
    assert all(pipe["drawn"].count((entry.shot.prompt, entry.shot.seed)) == 2 for entry in held)


def test_results_are_written_and_taken_over(tmp_path):
    cases, held = [case("rose", "tulip"), case("cat", "dog")], [Held(Shot("a star", 1), "star")]
    about, steps = {"seed": 1, "of": None}, []

    def done(results):
        steps.append(write_joint(results, tmp_path, about))

    scored = ScoredPictures(new_pipe(), names_it, told)
    run_jointly(scored, [method("EMCID"), method("mine")], JointSuite(cases, held, [1]), done=done)
    assert len(steps) == 2 and "| EMCID | 1 | 1.00 (1.00 to 1.00) |" in steps[1]
    known = read_joint(tmp_path, about)
    assert [(entry.method, entry.together) for entry in known] == [("EMCID", 1), ("mine", 1)]
    assert {path.name for path in tmp_path.iterdir()} == {"results.json", "table.md", "curves.png"}
    assert read_joint(tmp_path, {**about, "seed": 2}) == [] == read_joint(tmp_path / "none", about)
    pipe = new_pipe()
    both = JointSuite(cases, held, [1, 2])
    again = run_jointly(ScoredPictures(pipe, names_it, told), [method("EMCID")], both, known, done)
    assert pipe["asked"] == [["rose", "cat"]] and [entry.together for entry in again] == [1, 2]
    assert again[0].values("source to destination") == [1] and isinstance(again[0], JointScores)
    with pytest.raises(EditError, match="stands there twice"):
        run_jointly(scored, [method("EMCID")], JointSuite([*cases, cases[0]], held, [1]))


def test_sentences_and_seeds_go_together():
    assert shots("rose", ["a {}", "{} by {}"], [1, 2, 3]) == (Shot("a rose", 1), Shot("rose by rose", 2), Shot("a rose", 3))
    assert shots("rose", ["a {}", "the {}"], []) == () == shots("rose", [], [1])


@pytest.fixture(scope="module")
def pipe():
    return pipeline()


def test_mapped_projections_are_mapped_embeddings(pipe):
    generator = torch.Generator().manual_seed(0)
    left, right = (0.1 * torch.randn(shape, generator=generator) for shape in ((128, 4), (4, 128)))
    context_map = ContextMap(left, right)
    plain = draw_pictures(pipe, ["a rose", "a cat"], [1, 2], STEPS, GUIDANCE)
    with edited_projections(pipe, context_map):
        edited = draw_pictures(pipe, ["a rose", "a cat"], [1, 2], STEPS, GUIDANCE)
        assert torch.allclose(draw_pictures(pipe, ["a cat"], [2], STEPS, GUIDANCE), edited[1:], atol=1e-3)
    assert torch.allclose(plain, generate(pipe, ["a rose", "a cat"], [1, 2]), atol=1e-3)
    assert torch.allclose(edited, generate(pipe, ["a rose", "a cat"], [1, 2], context_map), atol=1e-3)
    assert (edited - plain).abs().mean() > 1e-2
    assert torch.equal(draw_pictures(pipe, ["a rose", "a cat"], [1, 2], STEPS, GUIDANCE), plain)
    with pytest.raises(EditError, match="another width"), edited_projections(pipe, ContextMap.identity(64)):
        pass


@torch.inference_mode()
def check_labels(pipe, known, settings, concepts):
    """Each method is told from the others by what it does: EMCID to the text encoder, the others to the projections."""
    seen, templates = Seen.of(pipe), settings.recipe(concepts).templates
    sentences = [Concept(*pair) for concept in concepts for pair in concept.sentences(templates)]
    kept = [text for text in bare_captions() if not {concept.source for concept in concepts} & set(text.split())]
    promised = {
        "TIME": time_as_published(seen, concepts),
        "UCE": uce(seen, sentences, kept),
        "K/V": ours(seen, concepts, tuple(settings.captions)),
    }
    layer = next(module for name, module in pipe.unet.named_modules() if name.endswith("attn2.to_k"))
    assert list(known) == ["EMCID", *promised] and all(method.name == name for name, method in known.items())
    identity, prompt = torch.eye(128), seen.encode(["a rose"])[0].embeddings

    def read_by_layer():
        """What a projection of the UNet makes of a text whose tokens are the coordinates, when the UNet is handed it."""
        answers = []
        handle = layer.register_forward_hook(lambda *args: answers.append(args[-1][0]))
        try:
            pipe.unet(torch.zeros(1, pipe.unet.config.in_channels, 6, 6), 1, encoder_hidden_states=identity[None])
        finally:
            handle.remove()
        return answers[0]

    plain = read_by_layer()
    for name, method in known.items():
        with method.put_on(pipe, concepts):
            assert torch.equal(seen.encode(["a rose"])[0].embeddings, prompt) == (name != "EMCID")
            read = read_by_layer()
        if name == "EMCID":
            assert torch.equal(read, plain)
            continue
        apart = {other: float((read - layer(theirs.apply(identity))).norm()) for other, theirs in promised.items()}
        assert apart.pop(name) < 1e-4 < 0.01 < min(apart.values())


def test_methods_on_the_pocket_model(pipe, tmp_path):
    judge = load_judge()

    def shows(pictures, names):
        return [answer["thing"] == name for answer, name in zip(judge.answers(pictures), names, strict=True)]

    pairs = [("rose", "tulip"), ("star", "tree"), ("apple", "balloon"), ("car", "boat")]
    cases = [
        MeasuredConcept(Concept(*pair), shots(pair[0], ["a {}"], [1, 2]), shots(pair[0], ["a drawing of a {}"], [3]))
        for pair in pairs
    ]
    held = [Held(shot, name) for name in ("fish", "house", "pear", "umbrella") for shot in shots(name, ["a {}"], [1])]
    settings = Settings(ordinary_captions(), POCKET_TEMPLATES, 0.5, (0,), "text")
    methods = joint_methods(settings.recipe, settings.captions, bare_captions(), tmp_path)
    weights = {name: tensor.clone() for name, tensor in pipe.text_encoder.state_dict().items()}
    scored = ScoredPictures(pipe, shows, None, STEPS, GUIDANCE, 32)
    found = run_jointly(scored, list(methods.values()), JointSuite(cases, held, [4]))
    assert [entry.method for entry in found] == ["EMCID", "TIME", "UCE", "K/V"]
    assert all(torch.equal(tensor, weights[name]) for name, tensor in pipe.text_encoder.state_dict().items())
    check_labels(pipe, methods, settings, [case.concept for case in cases])
    means = {entry.method: {measure: round(entry.mean(measure), 3) for measure in taken([entry])} for entry in found}
    for name in ("EMCID", "TIME", "UCE", "K/V"):
        assert means[name]["source forget"] >= 0.5, means
    for name in ("EMCID", "UCE", "K/V"):
        assert means[name]["source to destination"] >= 0.75 and means[name]["holdout delta"] >= -0.25, means
    assert len(list((tmp_path / "values").iterdir())) == len(pairs)
