"""The models whose sizes are measured: the projections that read text, and the text encoders before them."""

from __future__ import annotations

from dataclasses import dataclass

WINDOW = 77
"""Rows of a prompt at every size, which is what diffusers' class for TIME is written for; Flux's T5 may have up to 512."""


@dataclass(frozen=True)
class Matrices:
    """Matrices of one shape.

    Args:
        count: how many the model has.
        out, width: of each.
        pooled: whether they read the pooled embedding, not the tokens.
    """

    count: int
    out: int
    width: int
    pooled: bool = False

    @property
    def nbytes(self) -> int:
        """Of all, in float32."""
        return 4 * self.count * self.out * self.width


@dataclass(frozen=True)
class TextEncoder:
    """A text encoder, or as many of its layers as are run here.

    Args:
        kind: "CLIP" or "T5".
        width, mlp, heads: of its layers.
        layers: how many it has.
        run: how many of them are run; what they take is multiplied.
    """

    kind: str
    width: int
    mlp: int
    heads: int
    layers: int
    run: int


@dataclass(frozen=True)
class ModelSize:
    """One model.

    Args:
        name: as users call it.
        projections: that read text.
        encoders: that it reads.
        mlps: the MLP output matrices that EMCID's authors edit; empty where their code knows no text encoder of the model.
    """

    name: str
    projections: tuple[Matrices, ...]
    encoders: tuple[TextEncoder, ...]
    mlps: tuple[Matrices, ...] = ()

    @property
    def width(self) -> int:
        """Numbers of a token."""
        return self.projections[0].width

    @property
    def pooled_width(self) -> int:
        """Numbers of the pooled embedding; 0 where no projection here reads it."""
        return next((matrices.width for matrices in self.projections if matrices.pooled), 0)

    @property
    def count(self) -> int:
        """How many projections."""
        return sum(matrices.count for matrices in self.projections)

    @property
    def nbytes(self) -> int:
        """Of all projections, in float32."""
        return sum(matrices.nbytes for matrices in self.projections)


_CLIP_L = TextEncoder("CLIP", 768, 3072, 12, 12, 12)
SIZES = {
    size.name: size
    for size in (
        ModelSize(
            "SD 1.5",
            (Matrices(10, 320, 768), Matrices(10, 640, 768), Matrices(12, 1280, 768)),
            (_CLIP_L,),
            (Matrices(11, 768, 3072),),
        ),
        ModelSize(
            "SDXL",
            (Matrices(20, 640, 2048), Matrices(120, 1280, 2048)),
            (_CLIP_L, TextEncoder("CLIP", 1280, 5120, 20, 32, 4)),
            (Matrices(3, 768, 3072), Matrices(5, 1280, 5120)),
        ),
        ModelSize(
            "Flux",
            (Matrices(1, 3072, 4096), Matrices(1, 3072, 768, pooled=True)),
            (_CLIP_L, TextEncoder("T5", 4096, 10240, 64, 24, 1)),
        ),
    )
}
"""Name to size. EMCID's layers are those of its authors' scripts: 0 to 10 of CLIP-L's; in SDXL 8 to 10 and 26 to 30."""
