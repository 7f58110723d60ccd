"""Hundreds of the pocket model's names edited together: what is asked, who judges, and the command."""

import sys

import pytest

pytest.importorskip("diffusers", reason="diffusers is not installed")

import random

from edit_assumption.editing.concepts.sentences import sentences_of
from edit_assumption.evaluation import pocket_concepts
from edit_assumption.evaluation.pocket_concepts import cases, held_out, shown
from edit_assumption.pipelines.command_inputs import POCKET_TEMPLATES
from edit_assumption.pipelines.pipeline_concepts import text_encoders
from edit_assumption.pocket.dataset import draw
from edit_assumption.pocket.judge import load_judge
from edit_assumption.pocket.model import pipeline
from edit_assumption.pocket.names import NAMES
from edit_assumption.pocket.scenes import Scene, random_scene
from edit_assumption.pocket.words import ALL


def test_each_name_is_to_be_something_else_in_another_colour():
    asked = cases(300)
    assert len({case.concept.source for case in asked}) == 300
    for case in asked:
        own, other = NAMES[case.concept.source], NAMES[case.concept.destination]
        assert own.thing != other.thing
        assert own.colour != other.colour
        assert {shot.seed for shot in case.edited}.isdisjoint(shot.seed for shot in case.others)
    assert cases(10) == asked[:10]


def test_what_is_held_out_is_not_edited():
    edited = {case.concept.source for case in cases(300)}
    held = held_out(300)
    assert edited.isdisjoint(entry.name for entry in held)
    assert {entry.name for entry in held} == (set(NAMES) - edited) | set(ALL)
    assert all(entry.name in entry.shot.prompt for entry in held)


def test_a_name_is_shown_by_its_thing_in_its_colour():
    chance, judge = random.Random(3), load_judge()
    name = next(iter(NAMES))
    own = ALL[NAMES[name].thing]
    other = next(thing for thing in ALL.values() if thing is not own)
    scenes = []
    for thing in (own, other):
        values = random_scene(chance, thing, set(), False).values
        scenes.append(Scene(thing.name, {**values, "colour": NAMES[name].colour}))
    assert list(shown(judge, draw(scenes, chance), [name, name])) == [True, False]
    assert list(shown(judge, draw(scenes, chance), [own.name, own.name])) == [True, False]


def test_sentences_find_the_names():
    (encoder,) = text_encoders(pipeline())
    concepts = [case.concept for case in cases(5)]
    found = sentences_of(concepts, encoder.tokenize, POCKET_TEMPLATES)
    assert [encoder.tokenize([f"a {concept.source}"])[0].ids[2] for concept in concepts] == [
        int(ids[place])
        for ids, place in zip(found.ids[:: len(POCKET_TEMPLATES)], found.subject[:: len(POCKET_TEMPLATES)], strict=True)
    ]


def test_the_command_writes_table_curves_and_results(tmp_path, monkeypatch, capsys):
    given = [
        "--together",
        "2",
        "--measured",
        "2",
        "--mode",
        "text",
        "--method",
        "EMCID",
        "--method",
        "UCE",
        "--out",
        str(tmp_path),
    ]
    monkeypatch.setattr(sys, "argv", ["pocket_concepts", *given])
    monkeypatch.setattr(pocket_concepts, "held_out", lambda count: held_out(count)[:4])
    pocket_concepts.main()
    said = capsys.readouterr().out
    assert "| EMCID | 2 |" in said
    assert "| UCE | 2 |" in said
    assert {"results.json", "table.md", "curves.png"} <= {path.name for path in tmp_path.iterdir()}
