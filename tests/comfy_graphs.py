"""The graphs that the tests queue, and what is read from their results."""

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


class Pipeline(Graph):
    """From a model to a saved latent; ``self.model`` and ``self.clip`` are what the next node takes."""

    def __init__(self, family="sd1", size="small", weights="", checkpoint=None):
        super().__init__()
        if checkpoint:
            loader = self.add("CheckpointLoaderSimple", ckpt_name=checkpoint)
        else:
            loader = self.add("TestModel", family=family, size=size, weights=weights)
        self.loaded, self.clip, self.vae = loader[:3]
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

    def sample(self, prompt="a field of roses", steps=2, size=64, seed=7, through=lambda conditioning: conditioning):
        """``through`` may put nodes behind the text encoding: link in, link out."""
        empty = self.add("EmptyLatentImage", width=size, height=size, batch_size=1)
        positive, negative = (
            through(self.add("CLIPTextEncode", clip=self.clip, text=written)[0]) for written in (prompt, "blurry")
        )
        self.sampled = self.add(
            "KSampler", model=self.model, positive=positive, negative=negative, latent_image=empty[0], seed=seed,
            steps=steps, cfg=7.0, sampler_name="euler", scheduler="normal", denoise=1.0,
        )  # fmt: skip
        self.named["latent"] = self.add("SaveLatent", samples=self.sampled[0], filename_prefix="latents/test")
        return self

    def picture(self):
        decoded = self.add("VAEDecode", samples=self.sampled[0], vae=self.vae)
        self.named["picture"] = self.add("SaveImage", images=decoded[0], filename_prefix="test")
        return self


class PocketGraph(Pipeline):
    """From Load Pocket Model to a picture."""

    def __init__(self):
        super(Pipeline, self).__init__()
        self.named = {}
        self.loaded, self.clip, self.vae = self.add("EditAssumptionLoadPocketModel")[:3]
        self.model = self.loaded

    def draw(self, prompt, seed=POCKET_SEED, batch=1, through=lambda conditioning: conditioning):
        empty = self.add("EmptyLatentImage", width=48, height=48, batch_size=batch)
        positive, negative = (through(self.add("CLIPTextEncode", clip=self.clip, text=written)[0]) for written in (prompt, ""))
        self.sampled = self.add(
            "KSampler", model=self.model, positive=positive, negative=negative, latent_image=empty[0], seed=seed,
            steps=POCKET_STEPS, cfg=POCKET_GUIDANCE, sampler_name="euler", scheduler="normal", denoise=1.0,
        )  # fmt: skip
        self.named["latent"] = self.add("SaveLatent", samples=self.sampled[0], filename_prefix="latents/pocket")
        return self.picture()


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


def distance(a: Tensor, b: Tensor) -> float:
    """Relative difference, Frobenius."""
    return float((a - b).norm() / b.norm())


def insertion(encoded, source, destination, position, templates=("{}", "A photo of {}", "An image of {}", "A picture of {}")):
    """Columns C and C* (as rows, float64) of a pair whose destination has one word more than its source.

    Written without the library: one more token at ``position`` shifts every later one by one, and the last stays last.
    """
    columns, targets = [], []
    for template in templates:
        start = position + len(template.replace("{}", "").split())
        answers = [*range(start), *range(start + 1, 77), 76]
        columns.append(encoded[template.format(source)].double())
        targets.append(encoded[template.format(destination)].double()[answers])
    return torch.cat(columns), torch.cat(targets)


def published_map(columns, targets, regularization=0.1, prior=None) -> Tensor:
    """TIME's equation 5 as it stands, in float64, solved d x d: M of W' = W M. ``prior`` stands in the identity's place."""
    width = columns.shape[1]
    prior = torch.eye(width, dtype=torch.float64) if prior is None else prior
    second_moment = columns.T @ columns + regularization * float(columns.square().sum(1).median()) / width * prior
    return torch.eye(width, dtype=torch.float64) + torch.linalg.solve(second_moment, columns.T @ (targets - columns)).T


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
