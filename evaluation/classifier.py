"""A classifier of the transformers library as judge: the probability of the class that is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from ..editing.errors import EditError
from ..pipelines.pipeline_judges import picture_bytes


class ImageClassifier:
    """A :data:`~.joint.Score`; names are the numbers of its classes.

    Args:
        name: folder of an image classifier, such as a ViT of ImageNet's classes, with its preprocessor; or its name on the hub.
        device: where it looks.

    Raises:
        EditError: there is none.
    """

    def __init__(self, name: str, device: torch.device | str = "cpu") -> None:
        from transformers import AutoImageProcessor, AutoModelForImageClassification

        try:
            self.processor = AutoImageProcessor.from_pretrained(name)
            self.model = AutoModelForImageClassification.from_pretrained(name).to(device, torch.float32).eval()
        except (OSError, ValueError) as error:
            raise EditError(
                f"The classifier “{name}” cannot be loaded; give the folder of an image classifier with its "
                "preprocessor_config.json, or its name on the Hugging Face Hub."
            ) from error

    @property
    def labels(self) -> Mapping[int, tuple[str, ...]]:
        """Class to its names."""
        return {
            int(number): tuple(part.strip() for part in label.split(","))
            for number, label in self.model.config.id2label.items()
        }

    @torch.inference_mode()
    def __call__(self, pictures: torch.Tensor, names: Sequence[str]) -> list[float]:
        """(n, 3, height, width) from -1 to 1 and n numbers of classes to n probabilities."""
        classes = torch.tensor([int(name) for name in names])
        if len(classes) and int(classes.max()) >= self.model.config.num_labels:
            raise EditError(
                f"The classifier has {self.model.config.num_labels} classes, but class {int(classes.max())} is asked for; give "
                "one of ImageNet's 1,000."
            )
        return self.probabilities(pictures)[torch.arange(len(classes)), classes].tolist()

    @torch.inference_mode()
    def probabilities(self, pictures: torch.Tensor) -> torch.Tensor:
        """(n, 3, height, width) from -1 to 1 to the probability of every class: (n, classes)."""
        given = self.processor(images=picture_bytes(pictures), return_tensors="pt")
        logits = self.model(**given.to(self.model.device)).logits.float()
        return logits.softmax(1).cpu()
