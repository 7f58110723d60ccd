"""Draw the moving picture of ComfyUI's page at work: `python tests/support/moving_picture.py docs/comfyui.webp`.

A real ComfyUI runs the template a_quickstart twice in Chromium: roses turn blue, then a new destination turns them white.
"""

import json
import sys
import tempfile
from contextlib import closing, contextmanager
from io import BytesIO

from chromium import launched
from comfy_page import opened, set_widget
from comfy_server import HOW_TO, ComfyServer, installed_hosts
from PIL import Image
from servers import REPOSITORY

WIDTH, EDGE = 1200, 20
FIRST, SECOND = "a pack of blue roses", "a pack of white roses"
PAUSE, STEP = 2500, 250
"""Milliseconds that a finished state and a step towards it are shown."""
PLACE = """edge => {
    const canvas = window.app.canvas, nodes = window.app.graph._nodes;
    const left = Math.min(...nodes.map(n => n.pos[0])) - edge, top = Math.min(...nodes.map(n => n.pos[1])) - 30 - edge;
    const right = Math.max(...nodes.map(n => n.pos[0] + n.size[0])) + edge;
    const bottom = Math.max(...nodes.map(n => n.pos[1] + n.size[1])) + edge;
    const scale = Math.min(1300 / (right - left), 780 / (bottom - top));
    canvas.ds.scale = scale;
    canvas.ds.offset = [100 / scale - left, 170 / scale - top];
    canvas.setDirty(true, true);
    return { x: 100, y: 170, width: (right - left) * scale, height: (bottom - top) * scale };
}"""


@contextmanager
def page_of_comfyui(folder):
    """The page of a real ComfyUI on an empty folder."""
    hosts = installed_hosts()
    if not hosts:
        sys.exit(f"No ComfyUI is installed: {HOW_TO}.")
    server = ComfyServer(hosts[-1], folder)
    try:
        with closing(launched()) as browsers, opened(next(browsers), server) as page:
            yield server, page
    finally:
        server.stop()


class Film:
    """Frames of one part of the page, and how long each is shown."""

    def __init__(self, page, box):
        self.page, self.box = page, box
        self.frames, self.durations = [], []

    def add(self, duration):
        """Take the page as it is now; a frame like the one before is shown for longer."""
        with Image.open(BytesIO(self.page.screenshot(clip=self.box))) as shot:
            frame = shot.convert("RGB")
            frame = frame.resize((WIDTH, round(frame.height * WIDTH / frame.width)), Image.Resampling.LANCZOS)
        if self.frames and frame.tobytes() == self.frames[-1].tobytes():
            self.durations[-1] += duration
        else:
            self.frames.append(frame)
            self.durations.append(duration)

    def save(self, path):
        """Write an animated WebP that begins again."""
        first, *others = self.frames
        first.save(path, save_all=True, append_images=others, duration=self.durations, loop=0, quality=70, method=6)


def write(film, text):
    """Type a destination in, some letters at a time."""
    for end in (*range(len("a pack of "), len(text), 3), len(text)):
        set_widget(film.page, "destination", text[:end])
        film.page.evaluate("() => window.app.canvas.setDirty(true, true)")
        film.page.wait_for_timeout(150)
        film.add(STEP // 2)


def run(film, server):
    """Queue, and take frames until all is drawn."""
    film.page.evaluate("() => window.app.queuePrompt(0, 1)")
    film.page.wait_for_timeout(200)
    while any(server.get("/queue").values()):
        film.add(STEP)
        film.page.wait_for_timeout(100)
    film.page.wait_for_timeout(2000)
    film.add(PAUSE)


def main(path):
    """Draw the film and write it to a file."""
    workflow = json.loads((REPOSITORY / "workflows/a_quickstart.json").read_text())
    with tempfile.TemporaryDirectory() as folder, page_of_comfyui(folder) as (server, page):
        page.evaluate("workflow => window.app.loadGraphData(workflow)", workflow)
        page.wait_for_timeout(2000)
        set_widget(page, "destination", "")
        film = Film(page, page.evaluate(PLACE, EDGE))
        page.wait_for_timeout(1500)
        film.add(PAUSE // 2)
        for text in (FIRST, SECOND):
            write(film, text)
            run(film, server)
        film.save(path)


if __name__ == "__main__":
    main(sys.argv[1])
