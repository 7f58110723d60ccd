"""Fixtures: one real ComfyUI per installed version, started when the first test asks for it."""

import pytest
from comfy_graphs import Pipeline
from comfy_server import HOW_TO, ComfyServer, installed_hosts

HOSTS = installed_hosts()
if not HOSTS:
    HOSTS = [pytest.param(None, marks=pytest.mark.skip(reason=f"no ComfyUI is installed: {HOW_TO}"))]


@pytest.fixture(scope="session", params=HOSTS, ids=lambda folder: getattr(folder, "name", "none"))
def comfy(request, tmp_path_factory):
    """A running ComfyUI with this pack and the test nodes."""
    server = ComfyServer(request.param, tmp_path_factory.mktemp("comfyui"))
    yield server
    server.stop()
    server.clean_outputs()


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
