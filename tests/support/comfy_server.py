"""A real ComfyUI for the tests: found, started on a folder of its own, spoken to over its HTTP API."""

import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import requests
import servers
from servers import REPOSITORY

HOW_TO = "set COMFYUI_PATH to one or several ComfyUI folders, or install one at ~/comfy/ComfyUI"


def installed_hosts():
    """The ComfyUI folders of this machine: COMFYUI_PATH (separated like PATH), else ~/comfy/ComfyUI*."""
    named = os.environ.get("COMFYUI_PATH")
    folders = [Path(entry) for entry in named.split(os.pathsep)] if named else sorted(Path.home().glob("comfy/ComfyUI*"))
    return [folder for folder in folders if (folder / "main.py").is_file()]


class Graph:
    """A graph in API form: ``graph.add("KSampler", model=link, …)`` gives the node, ``node[0]`` a link to its output."""

    def __init__(self):
        self.nodes = {}
        self.outputs = {}

    def add(self, class_type, **inputs):
        node = str(len(self.nodes) + 1)
        self.nodes[node] = {"class_type": class_type, "inputs": inputs}
        return [[node, slot] for slot in range(4)]


class RunError(Exception):
    """ComfyUI refused or failed; ``sentences`` are the messages that its interface shows."""

    def __init__(self, sentences):
        super().__init__("\n".join(sentences))
        self.sentences = sentences


class ComfyServer:
    def __init__(self, folder, base, arguments=()):
        self.folder, self.base = Path(folder), Path(base)
        self.port = servers.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        for name in ("custom_nodes", "models", "output", "input", "user"):
            (self.base / name).mkdir(parents=True, exist_ok=True)
        ours = {"edit_assumption_under_any_name": REPOSITORY, "host_nodes": REPOSITORY / "tests/support/host_nodes"}
        for name, target in ours.items():
            link = self.base / "custom_nodes" / name
            if not link.exists():
                link.symlink_to(target)
        gguf = self.folder / "custom_nodes/ComfyUI-GGUF"
        self.reads_gguf = gguf.exists()
        if self.reads_gguf:
            (self.base / "custom_nodes/ComfyUI-GGUF").symlink_to(gguf)
        python = self.folder / ".venv/bin/python"
        command = [str(python) if python.exists() else sys.executable, "main.py", "--cpu", "--disable-auto-launch"]
        command += ["--port", str(self.port), "--base-directory", str(self.base), *arguments]
        self.log = self.base / f"log-{self.port}.txt"
        with self.log.open("w") as log:
            # Threads that spin while they wait slow each other down by far where other work shares the cores.
            environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
            self.process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=subprocess.STDOUT, env=environment)
        self._wait_until_up()

    def _wait_until_up(self):
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                requests.get(f"{self.url}/system_stats", timeout=5).raise_for_status()
                return
            except requests.RequestException:
                time.sleep(0.5)
        raise RuntimeError(f"ComfyUI did not start:\n{self.log.read_text()[-3000:]}")

    def stop(self):
        servers.stop(self.process)

    def queue(self, graph):
        """Put a graph into the queue; its id. Raises RunError with the messages if it is refused."""
        answer = requests.post(f"{self.url}/prompt", json={"prompt": graph.nodes, "client_id": uuid.uuid4().hex}, timeout=60)
        if answer.status_code != 200:
            body = answer.json()
            found = [error for node in (body.get("node_errors") or {}).values() for error in node["errors"]]
            raise RunError([f"{error['message']}: {error['details']}" for error in found] or [body["error"]["message"]])
        return answer.json()["prompt_id"]

    def result(self, prompt_id, timeout=600):
        """What a queued graph gave: node to its interface output. Raises RunError if it failed or was interrupted."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            history = requests.get(f"{self.url}/history/{prompt_id}", timeout=60).json().get(prompt_id)
            if history and history["status"]["completed"]:
                return history["outputs"]
            if history and history["status"]["status_str"] == "error":
                messages = dict(history["status"]["messages"])
                error = messages.get("execution_error")
                raise RunError([error["exception_message"].strip()] if error else ["interrupted"])
            time.sleep(0.05)
        raise TimeoutError(prompt_id)

    def run(self, graph):
        """Queue a graph and wait; its outputs, which ``graph.outputs`` keeps: ComfyUI reports them on the first run only."""
        outputs = self.result(self.queue(graph))
        graph.outputs = {**graph.outputs, **outputs}
        return graph.outputs

    def interrupt_when_running(self, prompt_id):
        """Press Cancel once the graph samples; its result."""
        while "/10000" not in self.log.read_text()[-300:]:
            time.sleep(0.1)
        self.post("/interrupt")
        return self.result(prompt_id)

    def get(self, path):
        answer = requests.get(f"{self.url}{path}", timeout=60)
        answer.raise_for_status()
        return answer.json()

    def post(self, path, json=None):
        requests.post(f"{self.url}{path}", json=json, timeout=60).raise_for_status()

    def output(self, entry):
        """The file of an image or latent in a node's output."""
        return self.base / "output" / entry["subfolder"] / entry["filename"]
