"""Fixtures: one real host per installed version, started when the first test asks for it."""

import shutil

import pytest
from comfy_graphs import Pipeline
from comfy_server import HOW_TO, ComfyServer, installed_hosts
from webui_server import CHECKPOINTS, PLACES, WebuiServer, installed, wanted, write_checkpoint
from webui_server import HOW_TO as HOW_TO_WEBUI

_LOG_SHOWN = 4000
"""Characters of a host's log that the report of a failed test ends with."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A test that failed on a host shows what that host said last."""
    report = yield
    if report.failed:
        for name in ("comfy", "webui"):
            server = getattr(item, "funcargs", {}).get(name)
            if server is not None and server.log.exists():
                report.sections.append((f"the end of {name}'s log", server.log.read_text(errors="replace")[-_LOG_SHOWN:]))
    return report


HOSTS = installed_hosts()
if not HOSTS:
    HOSTS = [pytest.param(None, marks=pytest.mark.skip(reason=f"no ComfyUI is installed: {HOW_TO}"))]


@pytest.fixture(scope="session", params=HOSTS, ids=lambda folder: getattr(folder, "name", "none"))
def comfy(request, tmp_path_factory):
    """A running ComfyUI with this pack and the test nodes."""
    server = ComfyServer(request.param, tmp_path_factory.mktemp("comfyui"))
    yield server
    server.stop()
    shutil.rmtree(server.base)


CHECKPOINT = "v1-5-pruned-emaonly-fp16.safetensors"  # the name that the example workflows ask for


@pytest.fixture(scope="session")
def full_checkpoint(comfy):
    """Name of a full-size SD 1.5 checkpoint of random weights, written by the host's own Save Checkpoint."""
    graph = Pipeline(size="full")
    graph.add("CheckpointSave", model=graph.model, clip=graph.clip, vae=graph.vae, filename_prefix="checkpoints/full")
    comfy.run(graph)
    folder = comfy.base / "output/checkpoints"
    (folder / "full_00001_.safetensors").rename(folder / CHECKPOINT)
    return CHECKPOINT


WEBUIS = installed()
KINDS = [
    kind if kind in wanted() else pytest.param(kind, marks=pytest.mark.skip(reason=f"not run in {kind}: {HOW_TO_WEBUI}"))
    for kind in PLACES
]


@pytest.fixture(scope="session", params=KINDS)
def webui(request, tmp_path_factory):
    """A running A1111 or Forge with this extension and two checkpoints of random weights, "thin" and "other"."""
    if "A1111" not in WEBUIS:
        pytest.skip(f"no A1111 writes the checkpoints: {HOW_TO_WEBUI}")
    base = tmp_path_factory.mktemp(request.param)
    models = base / "models/Stable-diffusion"
    models.mkdir(parents=True)
    for seed, name in enumerate(("thin", "other")):
        write_checkpoint(models / f"{name}.safetensors", CHECKPOINTS[request.param], seed)
    server = WebuiServer(request.param, WEBUIS[request.param], base)
    yield server
    server.stop()
    shutil.rmtree(base)
