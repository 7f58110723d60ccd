"""ICEB: its files read, its protocol on a tiny pipeline with a tiny classifier, all made here."""

import csv
import json

import pytest
import torch

pytest.importorskip("diffusers", reason="diffusers is not installed")

import tiny_models
from edit_assumption.cli import main
from edit_assumption.editing.concepts.concept_lines import Concept
from edit_assumption.editing.concepts.concept_recipe import ConceptRecipe
from edit_assumption.editing.errors import EditError
from edit_assumption.editing.ordinary_captions import ordinary_captions
from edit_assumption.evaluation.classifier import ImageClassifier
from edit_assumption.evaluation.iceb import cases_of, held_destinations, read_held, read_requests, shared_sentences
from edit_assumption.evaluation.joint import Held, Shot
from edit_assumption.pipelines.command_inputs import load_pipeline
from edit_assumption.pipelines.draw import draw_pictures
from edit_assumption.pipelines.pipeline_concepts import edit_concepts, edited_text
from servers import REPOSITORY

REAL = REPOSITORY / "../shared/data/arbitrary_train.csv"
COLUMNS = ["source", "dest", "prompts", "seed_train", "seeds", "source id", "dest id"]
EDITED = "['An image of {}', 'A photo of {}', '{}']"
ROWS = [
    ["rose", "tulip", EDITED, 7316, "[6843, '37720', '39243']", 0, 1],
    ["cat", "dog", EDITED, 6377, "['19436', '4913', 61965]", 2, 3],
    ["apple", "orange", EDITED, 11, "[]", 4, 5],
]
LABELS = ["rose, rosebush", "tulip", "cat, house cat", "dog", "apple", "orange", "house", "doctor"]


def write(path, rows, columns=COLUMNS):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def test_rows_are_read(tmp_path):
    requests = read_requests(write(tmp_path / "train.csv", ROWS))
    assert [request.concept for request in requests] == [
        Concept("rose", "tulip"),
        Concept("cat", "dog"),
        Concept("apple", "orange"),
    ]
    assert requests[0].seeds == (6843, 37720, 39243) and requests[2].seeds == (11, 12, 13)
    assert (requests[1].source, requests[1].destination, requests[1].rectifies) == (2, 3, False)
    assert shared_sentences(requests) == ("An image of {}", "A photo of {}", "{}")


def test_a_byte_order_mark_is_no_part_of_a_column(tmp_path):
    path = write(tmp_path / "train.csv", ROWS)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_requests(path) == read_requests(write(tmp_path / "plain.csv", ROWS))


def test_cases_have_other_sentences_and_other_names(tmp_path):
    requests = read_requests(write(tmp_path / "train.csv", ROWS[:2]))
    rows = [["Rose", "tulip", "['A {} in the field.', \"A doctor's {}\"]", "['5', 6, 7]", 0, 1]]
    validation = read_requests(write(tmp_path / "val.csv", rows, [name for name in COLUMNS if name != "seed_train"]))
    labels = {number: tuple(label.split(", ")) for number, label in enumerate(LABELS)}
    rose, cat = cases_of(requests, validation, labels)
    assert rose.edited[1] == Shot("A photo of rose", 37720) and (rose.source, rose.destination) == ("0", "1")
    assert rose.others == (Shot("A rose in the field.", 5), Shot("A doctor's rose", 6))
    assert rose.aliases == (Shot("A rosebush in the field.", 5), Shot("A doctor's rosebush", 6))
    assert cat.others == () and cat.aliases[0] == Shot("An image of house cat", 19436)
    assert shared_sentences(validation) == validation[0].prompts and shared_sentences([*requests, *validation]) == ()


def test_a_prompt_may_name_the_source_itself(tmp_path):
    rows = [["dog house", "cat", "['Dog house in a field.', 'A {}']", 1, "[1, 2]", 0, 1]]
    (request,) = read_requests(write(tmp_path / "val.csv", rows))
    assert request.prompts == ("{} in a field.", "A {}")


def test_rectified_aliases_are_not_to_be_forgotten(tmp_path):
    (request,) = read_requests(write(tmp_path / "train.csv", [["man-eater", "white shark", EDITED, 1, "[1, 2, 3]", 2, 2]]))
    (case,) = cases_of([request])
    assert request.rectifies and list(case.asked()) == ["destination, alias"]
    assert case.asked()["destination, alias"][2] == (Shot("man-eater", 3), "2")


def test_what_is_held_out(tmp_path):
    requests = read_requests(write(tmp_path / "train.csv", [*ROWS, ["dog", "cat", EDITED, 1, "[1, 2, 3]", 3, 2]]))
    held = held_destinations(requests)
    assert {entry.name for entry in held} == {"1", "5"} and held[0] == Held(Shot("An image of tulip", 6843), "1")
    entries = [
        {"class name": name, "text prompt": f"{name} {number}", "random seed": str(number), "class id": LABELS.index(name)}
        for name in ("tulip", "apple", "house") for number in range(5)
    ]  # fmt: skip
    (tmp_path / "test.json").write_text(json.dumps(entries))
    names = {number: tuple(label.split(", ")) for number, label in enumerate(LABELS)}
    found = read_held(tmp_path / "test.json", requests, names)
    assert found[:3] == [Held(Shot(f"tulip {number}", number), "1") for number in range(3)]
    assert [entry.name for entry in found] == ["1"] * 3 + ["6"] * 3  # the apple is edited
    rows = [[entry["text prompt"], entry["class name"], entry["random seed"]] for entry in entries]
    assert read_held(write(tmp_path / "test.csv", rows, ["text prompt", "class name", "random seed"]), requests, names) == found
    with pytest.raises(EditError, match="the class “boat”, which the classifier does not know"):
        read_held(write(tmp_path / "x.csv", [["a", "boat", 1]], ["text prompt", "class name", "random seed"]), requests, names)


@pytest.mark.parametrize(
    ("rows", "columns", "sentence"),
    [
        (ROWS, ["source", "dest", "prompts", "seed_train", "seeds", "source id", "class"], "no column “dest id”"),
        ([["rose", "tulip", "['a photo']", 1, "[]", 0, 1]], COLUMNS, "Row 2 .* has no {} for the name"),
        ([ROWS[0], ["cat", "dog", "[", 1, "[]", 0, 1]], COLUMNS, "Row 3"),
        ([["cat", "cat", EDITED, 1, "[]", 0, 1]], COLUMNS, "Row 2 .* is to become itself"),
        ([["cat", "dog", EDITED, 1, "['x']", 0, 1]], COLUMNS, "Row 2"),
        ([ROWS[0], ROWS[0]], COLUMNS, "Row 3 .* a source that an earlier row has"),
        ([], COLUMNS, "has no rows"),
    ],
)
def test_other_files_are_refused(rows, columns, sentence, tmp_path):
    with pytest.raises(EditError, match=sentence):
        read_requests(write(tmp_path / "file.csv", rows, columns))


@pytest.mark.skipif(not REAL.exists(), reason="ICEB's arbitrary_train.csv is not there")
def test_the_real_file():
    requests = read_requests(REAL)
    assert len(requests) == 300 and requests[0].concept == Concept("bighorn", "marmot")
    assert requests[0].seeds == (6843, 37720, 39243) and (requests[0].source, requests[0].destination) == (349, 336)
    assert shared_sentences(requests) == ("An image of {}", "A photo of {}", "{}")
    assert not any(request.rectifies for request in requests) and len(held_destinations(requests)) > 100
    assert len(cases_of(requests)) == 300


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    tiny_models.write_pipeline(folder / "pipeline")
    tiny_models.write_classifier(folder / "classifier", LABELS)
    write(folder / "train.csv", ROWS)
    return folder


def command(folder, *more):
    return ["iceb", "--csv", str(folder / "train.csv"), "--model", str(folder / "pipeline"), "--classifier",
            str(folder / "classifier"), "--cache", str(folder / "cache"), "--steps", "2", *map(str, more)]  # fmt: skip


def test_the_judge_gives_its_classes_probabilities(folder):
    judge = ImageClassifier(str(folder / "classifier"))
    assert judge.labels[2] == ("cat", "house cat") and len(judge.labels) == 8
    pictures = torch.rand(3, 3, 24, 24, generator=torch.Generator().manual_seed(0)) * 2 - 1
    scores = torch.tensor([judge(pictures, [str(number)] * 3) for number in range(8)])
    assert torch.allclose(scores.sum(0), torch.ones(3)) and scores.std() > 0.01
    assert judge(pictures, ["0", "1", "2"]) == pytest.approx(scores.diagonal().tolist())
    with pytest.raises(EditError, match="8 classes, but class 999"):
        judge(pictures, ["0", "1", "999"])


def test_the_command_scores_what_the_edited_pipeline_draws(folder, tmp_path, capsys):
    assert main(command(folder, "--counts", 1, 3, "--regularization", "0.01", "--out", tmp_path)) == 0
    said = capsys.readouterr().out
    assert all(f"| {name} | {count} |" in said for name in ("EMCID", "TIME", "UCE", "K/V") for count in (1, 3))
    assert {path.name for path in tmp_path.iterdir()} == {"results.json", "table.md", "curves.png"}
    entries = json.loads((tmp_path / "results.json").read_text())["results"]
    results = {(entry["method"], entry["together"]): entry["scores"] for entry in entries}
    assert all(len(results[method, 3]["destination"]) == 3 for method in ("EMCID", "TIME", "UCE", "K/V"))
    # The same by hand, for the first concept of the three.
    pipe, judge = (
        load_pipeline(str(folder / "pipeline"), True, torch.device("cpu")),
        ImageClassifier(str(folder / "classifier")),
    )
    requests = read_requests(folder / "train.csv")
    recipe = ConceptRecipe(tuple(request.concept for request in requests), 0.01, shared_sentences(requests), mode="attention")
    edit = edit_concepts(pipe, recipe, ordinary_captions())
    prompts = ["An image of rose", "A photo of rose", "rose"]

    def score():
        pictures = draw_pictures(pipe, prompts, requests[0].seeds, 2, 7.5)
        return [sum(judge(pictures, [name] * 3)) / 3 for name in ("0", "1")]

    before = score()
    with edited_text(pipe, edit):
        after = score()
    assert results["EMCID", 3]["source"][0] == pytest.approx([before[0], after[0]], abs=1e-3)
    assert results["EMCID", 3]["destination"][0] == pytest.approx([before[1], after[1]], abs=1e-3)
    assert abs(before[1] - after[1]) > 5e-3  # so that it is the edit's doing
    for method in ("TIME", "UCE", "K/V"):
        assert results[method, 3]["source"][0][0] == pytest.approx(before[0], abs=1e-3)
        assert results[method, 3]["source"][0][1] != pytest.approx(before[0], abs=1e-6)


def test_the_command_rectifies_and_goes_on_where_it_was(folder, tmp_path, capsys):
    rows = [["rosebush", "rose", EDITED, 1, "[]", 0, 0], ["tabby", "cat", EDITED, 2, "[]", 2, 2]]
    train = write(tmp_path / "rectification_train.csv", rows)
    arguments = command(folder, "--method", "EMCID", "--out", tmp_path / "out", "--counts", 1)
    arguments[arguments.index("--csv") + 1] = str(train)
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "| method | together | alias to destination | holdout delta |" in said and "| EMCID | 1 |" in said
    first = (tmp_path / "out/results.json").read_text()
    assert main([*arguments, "2"]) == 0
    assert capsys.readouterr().out.splitlines()[:3] == said.splitlines()[:3]
    before, after = json.loads(first)["results"], json.loads((tmp_path / "out/results.json").read_text())["results"]
    assert after[:1] == before and [entry["together"] for entry in after] == [1, 2]
    assert len(after[1]["scores"]["destination, alias"]) == 2 and len(after[1]["scores"]["holdout"]) == 6


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--counts", "5"], "There are 3 concepts, so 5 cannot be edited together"),
        (["--method", "ROME"], "There is no method “ROME”"),
        (["--classifier", "nowhere"], "The classifier “nowhere” cannot be loaded"),
        (["--model", "nowhere"], "“nowhere” cannot be loaded"),
        (["--val", "nowhere.csv"], "“nowhere.csv” cannot be read"),
        (["--holdout", "nowhere.json"], "“nowhere.json” cannot be read"),
    ],
)
def test_wrong_input_is_one_sentence(folder, more, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert main([*command(folder, "--counts", "1", "--out", tmp_path), *more]) == 2
    assert sum(sentence in line for line in capsys.readouterr().err.split("\n")) == 1
