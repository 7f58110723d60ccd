"""The graphs that the tests queue, and what is read from their results."""

from typing import ClassVar

import torch
from comfy_server import Graph
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

SOURCE, DESTINATION = "a pack of roses", "a pack of blue roses"
DEFAULTS = dict(
    regularization=0.1,
    augmentations="A photo of\nAn image of\nA picture of",
    projections="keys and values",
    regularizer="identity",
)
# With ten steps ComfyUI's and diffusers' schedules fall on the same whole time steps.
POCKET_SEED, POCKET_STEPS, POCKET_GUIDANCE = 7, 10, 3.0


class Drawing(Graph):
    """From a model to a saved latent; ``self.model`` and ``self.clip`` are what the next node takes.

    What a kind of graph samples with stands as attributes of its class.
    """

    empty, size = "EmptyLatentImage", 64
    negative, seed = "blurry", 7
    sampling: ClassVar = dict(steps=2, cfg=7.0, sampler_name="euler", scheduler="normal", denoise=1.0)

    def __init__(self, class_type, **inputs):
        super().__init__()
        # An output that the loader does not have is never asked for.
        self.loaded, self.clip, self.vae = self.add(class_type, **inputs)[:3]
        self.model = self.loaded
        self.named = {}

    def edit(self, **inputs):
        return self.edit_by("EditAssumption", **{"source": SOURCE, "destination": DESTINATION, "strength": 1.0, **inputs})

    def edit_by(self, class_type, **inputs):
        """Any node from MODEL and CLIP to MODEL and EDIT."""
        node = self.add(class_type, model=self.model, clip=self.clip, **{**DEFAULTS, **inputs})
        self.model = node[0]
        self.named["edit"] = node
        return node

    def lora(self, name, strength_clip=0.0):
        node = self.add(
            "LoraLoader", model=self.model, clip=self.clip, lora_name=name, strength_model=1.0, strength_clip=strength_clip
        )
        self.model, self.clip = node[:2]

    def clip_skip(self, layer):
        self.clip = self.add("CLIPSetLastLayer", clip=self.clip, stop_at_clip_layer=layer)[0]

    def sample(self, prompt="a field of roses", batch=1, through=lambda conditioning: conditioning, **changed):
        """``through`` may put nodes behind the text encoding: link in, link out. ``changed`` are inputs of the sampler."""
        empty = self.add(self.empty, width=self.size, height=self.size, batch_size=batch)
        positive, negative = (
            through(self.add("CLIPTextEncode", clip=self.clip, text=written)[0]) for written in (prompt, self.negative)
        )
        self.sampled = self.add(
            "KSampler", model=self.model, positive=positive, negative=negative,
            **{"latent_image": empty[0], "seed": self.seed, **self.sampling, **changed},
        )  # fmt: skip
        self.named["latent"] = self.add("SaveLatent", samples=self.sampled[0], filename_prefix="latents/test")
        return self

    def picture(self):
        decoded = self.add("VAEDecode", samples=self.sampled[0], vae=self.vae)
        self.named["picture"] = self.add("SaveImage", images=decoded[0], filename_prefix="test")
        return self


class Pipeline(Drawing):
    """With Stable Diffusion: a checkpoint's, or random weights of its shape."""

    def __init__(self, family="sd1", size="small", weights="", checkpoint=None):
        if checkpoint:
            super().__init__("CheckpointLoaderSimple", ckpt_name=checkpoint)
        else:
            super().__init__("TestModel", family=family, size=size, weights=weights)


class PocketGraph(Drawing):
    """With Load Pocket Model, to a picture."""

    size, negative, seed = 48, "", POCKET_SEED
    sampling: ClassVar = dict(Drawing.sampling, steps=POCKET_STEPS, cfg=POCKET_GUIDANCE)

    def __init__(self):
        super().__init__("EditAssumptionLoadPocketModel")

    def sample(self, *args, **changed):
        return super().sample(*args, **changed).picture()


def node_id(node):
    return node[0][0]


def latent(server, graph) -> Tensor:
    """Run the graph; its sampled latent."""
    return latent_of(server, graph, server.run(graph))


def latent_of(server, graph, outputs) -> Tensor:
    entry = outputs[node_id(graph.named["latent"])]["latents"][0]
    return load_file(server.output(entry))["latent_tensor"]


def pixels(server, graph, outputs):
    """The picture's pixels, as bytes."""
    with Image.open(server.output(outputs[node_id(graph.named["picture"])]["images"][0])) as image:
        return image.convert("RGB").tobytes()


def text(outputs, node):
    """What the node showed under itself."""
    return outputs[node_id(node)]["text"][0]


def sentences(source=SOURCE, destination=DESTINATION):
    """The texts of a pair with the default augmentations."""
    return [
        f"{opening}{text}" for opening in ("", "A photo of ", "An image of ", "A picture of ") for text in (source, destination)
    ]


def encoded_by_host(server, texts, name="encoded.safetensors", family="sd1", size="small", clip_skip=None, checkpoint=None):
    """The host's own embeddings of the texts, encoded one by one."""
    graph = Pipeline(family, size, checkpoint=checkpoint)
    if clip_skip:
        graph.clip_skip(clip_skip)
    graph.add("TestEncode", clip=graph.clip, text="\n".join(texts), name=name)
    server.run(graph)
    return load_file(server.base / "output" / name)


def loaded_weights(server, graph, name="weights.safetensors"):
    """Run a sampled graph; the projections as they then are in memory, and the hash of all weights."""
    node = graph.add("TestWeights", model=graph.model, name=name, after=graph.sampled[0])
    outputs = server.run(graph)
    return load_file(server.base / "output" / name), text(outputs, node)


def replaced(server, weights, context_map, name="replaced.safetensors", dtype=torch.float32):
    """A file of the projections W M, for TestModel."""
    new = {key: (weight.double() @ context_map).to(dtype).contiguous() for key, weight in weights.items()}
    save_file(new, server.base / "output" / name)
    return name
