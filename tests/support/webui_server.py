"""A real A1111, Forge, Forge Neo or reForge for the tests: found, started on a folder of its own, spoken to over HTTP."""

import base64
import io
import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import requests
import servers
from PIL import Image
from servers import REPOSITORY

EXTENSION = "edit_assumption_under_any_name"
NAME = "edit assumption"
PLACES = {
    "A1111": ("A1111_PATH", ("a1111/stable-diffusion-webui", "stable-diffusion-webui")),
    "Forge": ("FORGE_PATH", ("forge/stable-diffusion-webui-forge", "stable-diffusion-webui-forge")),
    "Forge Neo": ("FORGE_NEO_PATH", ("forge-neo/sd-webui-forge-neo", "sd-webui-forge-neo")),
    "reForge": ("REFORGE_PATH", ("reforge/stable-diffusion-webui-reForge", "stable-diffusion-webui-reForge")),
}
HOW_TO = "set A1111_PATH, FORGE_PATH, FORGE_NEO_PATH or REFORGE_PATH to its folder (an A1111 writes the checkpoints for all)"
ARGUMENTS = {  # A1111's Lora tells of its errors at the level DEBUG alone
    "A1111": ["--use-cpu", "all", "--no-half", "--precision", "full", "--loglevel", "DEBUG", "--no-download-sd-model"],
    "Forge": ["--always-cpu", "--all-in-fp32", "--skip-install", "--skip-google-blockly", "--no-download-sd-model"],
    "Forge Neo": ["--cpu", "--force-fp32", "--skip-install"],
    "reForge": ["--always-cpu", "--all-in-fp32", "--no-download-sd-model"],
}
READY = {
    "A1111": ("Startup time", "Model loaded in"),
    "Forge": ("Startup time",),
    "Forge Neo": ("Startup time",),
    "reForge": ("Startup time", "] loaded in"),
}
"""What the log says once it is up; A1111 loads its model beside that, and a request in between would meet it half loaded."""
CHECKPOINTS = {"A1111": "thin", "Forge": "forge", "Forge Neo": "forge", "reForge": "forge"}  # kinds of webui_checkpoint.py


def installed():
    """Kind to folder, of the WebUIs of this machine."""
    found = {}
    for kind, (variable, places) in PLACES.items():
        named = os.environ.get(variable)
        folders = [Path(named)] if named is not None else [Path.home() / place for place in places]
        found |= [(kind, folder) for folder in folders if (folder / "launch.py").is_file()][:1]
    return found


def wanted():
    """The kinds that the tests run in: those named by their variables, else the first that is installed."""
    kinds = installed()
    return [kind for kind in kinds if PLACES[kind][0] in os.environ] or list(kinds)[:1]


def python_of(folder):
    return str(folder / "venv/bin/python")


def write_checkpoint(path, kind, seed=0):
    """A checkpoint of random weights, by the A1111 that is installed."""
    folder = installed()["A1111"]
    command = [python_of(folder), REPOSITORY / "tests/support/webui_checkpoint.py", path, kind, str(seed)]
    subprocess.run(command, cwd=folder, check=True)


@dataclass
class Drawn:
    """Pictures as (n, height, width, 3) levels, and the first one's parameters."""

    levels: np.ndarray
    infotext: str

    def away(self, other):
        """Largest difference in levels."""
        return int(np.abs(self.levels - other.levels).max())


def _levels(image):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(image))).convert("RGB")).astype(int)


class Refused(Exception):
    """The WebUI drew nothing; its message."""


class WebuiServer:
    def __init__(self, kind, folder, base, *more):
        self.kind, self.folder, self.base = kind, folder, Path(base)
        self.port = servers.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.applies_loras = None  # see webui_scenes
        extensions = self.base / "extensions"
        extensions.mkdir(parents=True, exist_ok=True)
        (self.base / "tmp").mkdir(exist_ok=True)  # Forge Neo keeps the page's pictures there, and does not make it
        for name, target in ((EXTENSION, REPOSITORY), ("webui_helper", REPOSITORY / "tests/support/webui_helper")):
            if not (extensions / name).exists():
                (extensions / name).symlink_to(target)
        settings = {"live_previews_enable": False, "samples_save": False, "grid_save": False}
        settings["CLIP_stop_at_last_layers"] = 1  # what a request overrides is put back only where it is written down
        (self.base / "config.json").write_text(json.dumps(settings))
        command = [python_of(folder), "launch.py", "--skip-prepare-environment", "--skip-torch-cuda-test", "--api"]
        command += ["--skip-version-check", "--data-dir", str(self.base), "--port", str(self.port)]
        command += [*ARGUMENTS[kind], "--gradio-allowed-path", str(folder), *more]  # Forge serves its page's scripts from there
        offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
        # One thread: pictures are compared to the bit, and sums depend on how the work is divided.
        environment = {**os.environ, **offline, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        self.log = self.base / f"log-{self.port}.txt"
        with self.log.open("w") as log:
            options = dict(cwd=folder, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, env=environment)
            self.process = subprocess.Popen(command, **options)
        self.process.stdin.write(b"\n")  # Forge Neo asks for it where the settings are not of its version
        self.process.stdin.close()
        deadline = time.monotonic() + 300
        while not self._has_started():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{kind} did not start:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.5)

    def _has_started(self):
        said = self.log.read_text(errors="replace")
        if not all(line in said for line in READY[self.kind]):
            return False
        try:
            return requests.get(f"{self.url}/docs", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def stop(self):
        servers.stop(self.process)

    def get(self, path, **options):
        return requests.get(f"{self.url}{path}", timeout=600, **options)

    def post(self, path, json=None, **options):
        return requests.post(f"{self.url}{path}", json=json, timeout=600, **options)

    def delete(self, path):
        return requests.delete(f"{self.url}{path}", timeout=600)

    def state(self):
        """Hooks on the text projections, and a hash of their weights."""
        return self.get("/test-helper/state").json()

    def draw(self, prompt="a field of roses", edit=None, to="txt2img", **changed):
        """Pictures of 64 x 64 in two steps. ``edit`` are the panel's arguments after the first, or a recipe."""
        body = dict(prompt=prompt, negative_prompt="blurry", seed=7, steps=2, width=64, height=64, sampler_name="Euler")
        body |= {"cfg_scale": 7, **changed}
        if edit is not None:
            arguments = [True, *([edit] if isinstance(edit, str) else edit)]
            body.setdefault("alwayson_scripts", {})[NAME] = {"args": arguments}
        answer = self.post(f"/sdapi/v1/{to}", body)
        if answer.status_code != 200:
            said = answer.json()
            raise Refused(said.get("errors") or said.get("message") or said.get("detail"))
        return self._drawn(answer.json())

    def draw_all(self, **changed):
        """Every picture of a script that draws several, each as levels."""
        body = dict(prompt="a field of roses", negative_prompt="blurry", seed=7, steps=2, width=64, height=64, cfg_scale=7)
        answer = self.post("/sdapi/v1/txt2img", {**body, "sampler_name": "Euler", **changed})
        answer.raise_for_status()
        return [_levels(image) for image in answer.json()["images"]]

    def again(self, drawn):
        """A picture from nothing but another one's parameters."""
        answer = self.post("/sdapi/v1/txt2img", {"infotext": drawn.infotext})
        answer.raise_for_status()
        return self._drawn(answer.json())

    def _drawn(self, answer):
        told = json.loads(answer["info"])
        return Drawn(np.stack([_levels(image) for image in answer["images"]]), told["infotexts"][0])

    def use(self, checkpoint):
        """Load a checkpoint, by its file's name without ending."""
        self.post("/sdapi/v1/options", {"sd_model_checkpoint": checkpoint}).raise_for_status()
