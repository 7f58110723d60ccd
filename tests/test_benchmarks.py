"""The benchmarks run: every row that is promised comes, with a number."""

import torch
from edit_assumption.benchmarks import find_host, inputs, library, rows
from edit_assumption.benchmarks.run import HOST_ROWS


def test_the_librarys_rows_say_what_captions_cost_and_what_an_edit_holds():
    moment = inputs.moment()
    assert moment.shape == (inputs.WIDTH, inputs.WIDTH)
    assert torch.linalg.eigvalsh(moment).min() > 0
    found = [library.with_captions(True, moment), *library.memory(moment)]
    assert all(row.value > 0 for row in found)
    assert found[1].met
    assert "captions" in rows.markdown(found)


def test_comfyuis_rows_come_from_the_node_with_its_default_settings(comfy, full_checkpoint):
    measured = find_host.run_host(comfy.folder, comfy.base / "output/checkpoints" / full_checkpoint, quick=True)
    assert [row["what"] for row in measured["rows"]] == list(HOST_ROWS)
    assert all(row["value"] > 0 for row in measured["rows"])
