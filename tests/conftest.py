"""Fixtures: one real ComfyUI per installed version, started when the first test asks for it."""

import pytest
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
