"""Costs at the size of real models: the peers' arithmetic, what is multiplied by what, and what the tables say."""

import json
import re

import pytest

pytest.importorskip("diffusers", reason="diffusers is not installed")

import diffusers
import torch
from edit_assumption.benchmarks import find_host
from edit_assumption.benchmarks.rows import Row
from edit_assumption.benchmarks.sizes import chart, command, measure, methods, peers, table
from edit_assumption.benchmarks.sizes.measure import Point
from edit_assumption.benchmarks.sizes.methods import CONCEPTS, EMCID, ENCODE, OURS, READ, TIME, UCE, Method, Part, Result
from edit_assumption.benchmarks.sizes.model_sizes import SIZES, Matrices, ModelSize, TextEncoder
from edit_assumption.benchmarks.sizes.peak import Call, with_peak
from edit_assumption.benchmarks.sizes.problem import Problem, moment_of
from edit_assumption.editing.alignment import align
from edit_assumption.editing.lora_file import lora_layer

TINY = ModelSize(
    "tiny",
    (Matrices(3, 12, 16), Matrices(2, 20, 16), Matrices(1, 12, 8, pooled=True)),
    (TextEncoder("CLIP", 16, 32, 2, 4, 2), TextEncoder("T5", 16, 32, 2, 3, 3)),
    (Matrices(4, 6, 24),),
)


def problem(pairs, size=TINY):
    return Problem(size, pairs, "cpu", moment_of(size.width, "cpu"))


def distance(one, other):
    return float((one.double() - other).norm() / other.norm())


def closed_form(weight, tokens, targets, strength):
    """TIME's equation 5 in float64."""
    weight, tokens, targets = weight.double(), tokens.double(), targets.double()
    system = strength * torch.eye(weight.shape[1], dtype=torch.float64) + tokens.T @ tokens
    return (strength * weight + weight @ targets.T @ tokens) @ torch.linalg.inv(system)


def test_time_is_the_papers_equation_for_one_pair_after_the_other():
    asked = problem(2)
    weights = [torch.randn(out, 16, generator=torch.Generator().manual_seed(out)) for out in (5, 7)]
    before = [weight.clone() for weight in weights]
    pairs = [(pair.source, pair.destination) for pair in asked.recipe.pairs]
    edited = peers.time_by_diffusers(weights, pairs, asked.encoded)
    for weight, kept, answer in zip(weights, before, edited, strict=True):
        best = kept
        for source, destination in pairs:
            one, other = asked.encoded[source], asked.encoded[destination]
            best = closed_form(best, one.embeddings, other.embeddings[align(one, other)], peers.LAMBDA_TIME)
        assert distance(answer, best) < 1e-4 < distance(kept, best) and torch.equal(weight, kept)


def test_without_the_class_there_is_no_such_row(monkeypatch, capsys):
    monkeypatch.setattr(peers, "published_class", lambda: (_ for _ in ()).throw(peers.NoPeerError("gone")))
    found = {point.method for point in measure.measure_size(TINY, [1], "cpu", 0)}
    assert found == {OURS, UCE, CONCEPTS, EMCID, READ, ENCODE} and "left out: gone" in capsys.readouterr().err


def test_uce_is_its_equation_on_one_token_a_pair():
    asked = problem(3)
    source, destination = asked.last_words(pooled=False)
    prompt = asked.encoded[asked.recipe.pairs[1].destination]
    assert prompt.tokens[prompt.words[-1]] == "1" and torch.equal(destination[1], prompt.embeddings[5])
    pooled, _ = asked.last_words(pooled=True)
    assert pooled.shape == (3, 8) and torch.equal(pooled[2], asked.encoded[asked.recipe.pairs[2].source].pooled)
    weights = [torch.randn(out, 16, generator=torch.Generator().manual_seed(out)) for out in (5, 7)]
    for weight, edited in zip(weights, peers.uce_by_modules(weights, source, destination), strict=True):
        best = closed_form(weight, source, destination, peers.LAMBDA_UCE)
        assert distance(edited, best) < 1e-4 < distance(weight, best)


def test_ours_is_the_node_packs_edit_on_every_kind_of_projection():
    method = methods.ours(problem(1))
    (edit,) = (part.run() for part in method.solve)
    result = method.then([edit])
    assert [part.count for part in result.apply] == [3, 2, 1] and edit.pooled_map is not None
    first, second, pooled = (part.run() for part in result.apply)
    weights = [torch.randn(each.out, each.width, generator=torch.Generator().manual_seed(1)) for each in TINY.projections]
    weights = [weight / weight.shape[1] ** 0.5 for weight in weights]
    for answer, weight, whole in (
        (first, weights[0], edit.context_map),
        (second, weights[1], edit.context_map),
        (pooled, weights[2], edit.pooled_map),
    ):
        assert distance(answer, weight.double() @ whole.dense().double()) < 1e-6 < distance(answer, weight.double())
    layers = [
        lora_layer(f"layer {number}", weight @ whole.left, whole.right, torch.float32)
        for each, weight, whole in zip(TINY.projections, weights, (edit.context_map,) * 2 + (edit.pooled_map,), strict=True)
        for number in range(each.count)
    ]
    matrices = sum(tensor.nbytes for layer in layers for name, tensor in layer.items() if "alpha" not in name)
    assert result.lora == pytest.approx(matrices / 1e6)
    assert edit.context_map.nbytes + edit.pooled_map.nbytes < 1e6 * result.file < 100_000
    assert f"rank {edit.context_map.rank}" == result.details


def test_emcid_and_ours_answer_the_same_keys():
    asked = problem(5)
    (theirs,), (ours,) = ([part.run() for part in make(asked).solve] for make in (methods.emcid, methods.concepts))
    generator = torch.Generator().manual_seed(5)
    keys, residual = (torch.randn(5, width, generator=generator).double() for width in (24, 6))
    for answer, strength in ((theirs, 4000.0), (ours[0] @ ours[1], 100.0)):
        best = residual.T @ keys @ torch.linalg.inv(strength * moment_of(24, "cpu") + keys.T @ keys)
        assert distance(answer, best) < 1e-6
    (applied,) = methods.emcid(asked).then([theirs]).apply
    (ours_applied,) = methods.concepts(asked).then([ours]).apply
    assert applied.count == ours_applied.count == 4
    weight = applied.run() - theirs
    assert distance(ours_applied.run() - weight, ours[0] @ ours[1]) < 1e-4


def test_memory_is_the_most_that_is_held_at_once():
    def function():
        first = torch.ones(250_000)
        second = first.double()
        del first
        return torch.cat([second, second])

    call = with_peak(function)
    assert len(call.answer) == 500_000 and call.megabytes == pytest.approx(2 + 4, rel=0.01) and call.seconds > 0


@pytest.fixture
def clock(monkeypatch):
    """Each function says how long it takes: the first calls so long, later turns half as long."""
    monkeypatch.setattr(measure, "with_peak", lambda run: Call(run(), run() * 1.1, 5.0))
    monkeypatch.setattr(measure, "seconds", lambda run: run())
    asked = []

    def alternate(rounds, *runs, warm):
        asked.append((rounds, len(runs)))
        assert warm
        return [run() / 2 for run in runs]

    monkeypatch.setattr(measure, "alternate", alternate)
    return asked


def test_each_part_counts_as_often_as_the_model_has_it(clock):
    def method(name, solve, apply):
        parts = [Part(count, lambda time=time: time) for count, time in solve]
        later = [Part(count, lambda time=time: time) for count, time in apply]
        return Method(name, parts, lambda answers: Result(later, 5.0, 7.0, "told"), 100.0, "a part")

    found = measure.points(problem(4), [method("a", [(2, 1.0), (3, 4.0)], [(10, 0.5)]), method("b", [(1, 8.0)], [])], 2)
    assert clock == [(2, 2)]  # those that take less than three seconds
    first, second = found
    assert (first.solve, first.apply, first.total) == (2 * 0.5 + 3 * 4.0, 10 * 0.25, 15.5) and first.clock == 0.5 + 4 + 0.25
    assert (second.solve, second.apply, second.total) == (8.0, None, 8.0)
    assert (first.size, first.pairs, first.method, first.device, first.file, first.lora) == ("tiny", 4, "a", "cpu", 5.0, 7.0)
    assert first.memory == 105.0 and (first.details, first.measured, first.scaled) == (
        "told",
        "a part",
        False,
    )


def test_what_takes_very_long_is_called_once(clock, monkeypatch):
    calls = []
    monkeypatch.setattr(measure, "with_peak", lambda run: Call(run(), 20.0, 1.0))  # more than the limit
    slow = Method("slow", [Part(2, lambda: calls.append("slow"))], lambda answers: Result())
    (found,) = measure.points(problem(1), [slow], 2)
    assert calls == ["slow"] and found.solve == 40.0 and found.memory == 1.0


def test_every_method_is_measured_and_pairs_in_turn_on_fewer_where_they_take_long(monkeypatch):
    monkeypatch.setattr(measure, "_LIMIT", 0.0)
    found = {(point.pairs, point.method): point for point in measure.measure_size(TINY, [3], "cpu", 0)}
    assert {pairs for pairs, _ in found} == {1, 3} and len(found) == 14
    for method in (OURS, TIME, UCE, CONCEPTS, EMCID, READ, ENCODE):
        one, three = found[1, method], found[3, method]
        assert one.solve > 0 and not one.scaled and three.scaled == (method in (TIME, ENCODE))
        if three.scaled:
            assert three.solve == pytest.approx(3 * one.solve) and three.measured.startswith("1 of 3 pairs")
    assert found[3, TIME].measured == "1 of 3 pairs; 2 of 5 projections, one of each shape"
    assert found[1, UCE].measured == "3 of 6 projections, one of each shape" and found[1, EMCID].measured == "1 of 4 layers"
    assert found[1, ENCODE].measured == "2 of 4 layers of CLIP 16"
    assert found[1, UCE].file == pytest.approx(TINY.nbytes / 1e6) and found[1, TIME].file == pytest.approx(
        4e-6 * 16 * (3 * 12 + 2 * 20)
    )
    assert found[1, UCE].memory > 2 * TINY.nbytes / 1e6 and found[1, READ].file is None


def test_few_pairs_are_measured_themselves():
    found = {(point.pairs, point.method): point for point in measure.measure_size(TINY, [2], "cpu", 0)}
    assert not any(point.scaled for point in found.values()) and len(found) == 14


def config(**more):
    return {"sample_size": 64, "norm_num_groups": 32, **more}


XL = config(
    block_out_channels=(320, 640, 1280), down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), transformer_layers_per_block=(1, 2, 10),
    attention_head_dim=(5, 10, 20), cross_attention_dim=2048, use_linear_projection=True,
)  # fmt: skip


@pytest.mark.parametrize(("name", "told"), [("SD 1.5", config(cross_attention_dim=768)), ("SDXL", XL)])
def test_sizes_are_those_of_the_models(name, told):
    with torch.device("meta"):
        unet = diffusers.UNet2DConditionModel(**told)
    shapes = [tuple(weight.shape) for key, weight in unet.named_parameters() if re.search(r"attn2\.to_[kv]\.weight", key)]
    assert {shape: shapes.count(shape) for shape in set(shapes)} == {
        (each.out, each.width): each.count for each in SIZES[name].projections
    }


def point(method, pairs=1, solve=1.0, apply=None, size="tiny", **more):
    return Point(size, pairs, method, "cpu", solve, apply, **{"memory": 12.3, "file": 4.5, "lora": None, **more})


POINTS = [
    point(OURS, solve=0.5, apply=1.5, lora=250.0, details="rank 3"), point(TIME, solve=400, measured="2 of 5 projections"),
    point(UCE, solve=3), point(CONCEPTS, solve=0.25, apply=0.25), point(EMCID, solve=5, apply=0),
    point(READ, solve=0.0002, file=None),
    point(OURS, 10, 4.0, 4.0), point(TIME, 10, 4000.0, measured="1 of 10 pairs", scaled=True),
]  # fmt: skip


def test_ratios_are_theirs_over_ours():
    lines = table.ratios(POINTS).splitlines()
    assert lines[0] == "| model | pairs | Edit Assumption | TIME | UCE | concepts | EMCID | read once | encode once |"
    assert lines[2:] == [
        "| tiny | 1 | 2 s | 200× | 1.5× | 500 ms | 10× | 1.0e-04× | – |",
        "| tiny | 10 | 8 s | ≈ 500× | – | – | – | – | – |",
    ]


def test_the_other_table_says_everything():
    lines = table.everything(POINTS).splitlines()
    assert len(lines) == 2 + len(POINTS)
    assert lines[2] == "| tiny | 1 | Edit Assumption | 500 ms | 1.5 s | 12.3 | 4.5 | 250 | rank 3 |"
    assert lines[3] == "| tiny | 1 | TIME, diffusers' class | 400 s | – | 12.3 | 4.5 | – | 2 of 5 projections |"
    assert lines[7] == "| tiny | 1 | floor: the projections read once | 0.2 ms | – | 12.3 | – | – | all |"
    assert lines[9] == "| tiny | 10 | TIME, diffusers' class | ≈ 4,000 s | – | 12.3 | 4.5 | – | 1 of 10 pairs |"


def test_the_chart_has_a_panel_for_each_size_and_a_line_for_each_method():
    figure = chart.cost_picture([*POINTS, point(OURS, size="other")])
    assert [axes.get_title("left") for axes in figure.axes] == ["tiny", "other"]
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    assert {OURS, TIME, UCE, CONCEPTS, EMCID, READ} <= set(lines) and ENCODE not in lines
    assert lines[TIME].get_xydata().tolist() == [[1, 400], [10, 4000]]
    hollow = [line for line in figure.axes[0].get_lines() if line.get_markerfacecolor() == "white"]
    assert [line.get_xydata().tolist() for line in hollow] == [[[10, 4000]]]
    assert {text.get_text() for text in figure.legends[0].get_texts()} == set(lines) & set(chart._LINES)


def test_the_command_prints_both_tables_and_writes_what_is_asked(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(command, "SIZES", {"SD 1.5": TINY})
    places = tmp_path / "sizes.json", tmp_path / "cost.png"
    assert (
        command.main(["--quick", "--pairs", "2", "--device", "cpu", "--json", str(places[0]), "--chart", str(places[1])]) == 0
    )
    said = capsys.readouterr().out
    assert said.count("| tiny | 2 |") == 1 + 7 and "CPU, " in said and "- UCE: our reading" in said
    told = json.loads(places[0].read_text(encoding="utf-8"))
    assert len(told["points"]) == 14 and told["points"][0]["method"] == OURS and told["rows"] == []
    assert places[1].read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        (["--pairs", "0"], "The number of pairs is 0; give numbers from 1 on."),
        (["--device", "nonsense"], "torch cannot use the device “nonsense”"),
        (["--chart", "cost.doc"], "cannot be a picture"),
    ],
)
def test_bad_input_gets_a_sentence(told, sentence, capsys):
    assert command.main(["--quick", *told]) != 0
    assert sentence in capsys.readouterr().err


def test_without_comfyui_sampling_is_skipped(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(command, "SIZES", {"SD 1.5": TINY})
    monkeypatch.setattr(measure, "alternate", lambda rounds, *runs, warm: [1.0] * len(runs))
    assert command.main(["--pairs", "1", "--sizes", "SD 1.5", "--comfyui", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("| skipped | none | there is no ComfyUI in") == len(command.SAMPLING_ROWS)


def test_sampling_is_measured_in_every_way(comfy, full_checkpoint):
    checkpoint = comfy.base / "output/checkpoints" / full_checkpoint
    found = [Row(**row) for row in find_host.run_host(comfy.folder, checkpoint, "--quick", "--sampling")["rows"]]
    assert [row.what for row in found] == list(command.SAMPLING_ROWS)
    bounds = [1.02, 1.01, None, 1.02]
    for row, most in zip(found, bounds, strict=True):
        edited, plain = (
            float(time) / (1000 if unit == "ms" else 1) for time, unit in re.findall(r"([\d.]+) (ms|s)\b", row.details)[:2]
        )
        assert row.value == pytest.approx(edited / plain, rel=0.02)
        assert row.met == (None if most is None else row.value <= most) and (most is None or f"{most}×" in row.target)
