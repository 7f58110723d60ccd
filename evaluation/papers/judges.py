"""Who looks at a user's pictures: a zero-shot model, an image classifier or a VQA model of transformers, or the pocket judge.

Each is a :data:`~...pipelines.pipeline_judges.Judge`: pictures and texts to the number of the text that each picture shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from ...editing.errors import EditError
from ...pipelines.pipeline_judges import ClipJudge, Judge, picture_bytes, pocket_judge
from ..classifier import ImageClassifier
from .named import in_place

POCKET = "pocket"
DEFAULT_JUDGE = "openai/clip-vit-large-patch14"
_YES = "yes"


class ClassifierJudge:
    """A classifier's answer: of the texts, the one whose classes are likelier. A text's classes are those that it names.

    Args:
        classifier: knows classes by their names.
    """

    def __init__(self, classifier: ImageClassifier) -> None:
        self.classifier = classifier

    def classes(self, text: str) -> frozenset[int]:
        """The classes that a text names; of names within each other ("shark", "white shark") the longest."""
        named: dict[int, str] = {}
        for number, names in self.classifier.labels.items():
            longest = max((name for name in names if in_place(text, name, "x")), key=len, default="")
            if longest:
                named[number] = longest
        inner = {one for one in named.values() for other in named.values() if one != other and in_place(other, one, "x")}
        return frozenset(number for number, name in named.items() if name not in inner)

    def __call__(self, pictures: torch.Tensor, prompts: Sequence[str]) -> list[int | None]:
        """The number of the likelier text for each picture. Raises :class:`EditError` where it knows no difference."""
        classes = [self.classes(prompt) for prompt in prompts]
        if not all(classes) or len(set(classes)) < len(prompts):
            told = " and ".join(f"“{prompt}”" for prompt in prompts)
            raise EditError(f"The classifier has no classes that tell {told} apart; give a CLIP model with --judge.")
        probabilities = self.classifier.probabilities(pictures)
        scores = torch.stack([probabilities[:, sorted(numbers)].sum(dim=1) for numbers in classes], dim=1)
        return [int(place) for place in scores.argmax(dim=1)]


class QuestionJudge:
    """A VQA model's answer: of the texts, the one that it is surer to see. Asked is: "Does the picture show …?".

    Args:
        name: folder, or name on the hub, of a model with an answer "yes", such as dandelin/vilt-b32-finetuned-vqa.
        device: where it looks.

    Raises:
        EditError: there is none, or it has no such answer.
    """

    def __init__(self, name: str, device: torch.device | str = "cpu") -> None:
        from transformers import AutoModelForVisualQuestionAnswering, AutoProcessor

        try:
            self.processor = AutoProcessor.from_pretrained(name)
            self.model = AutoModelForVisualQuestionAnswering.from_pretrained(name).to(device, torch.float32).eval()
        except (OSError, ValueError) as error:
            raise EditError(f"The judge “{name}” cannot be loaded; give its folder, with its processor.") from error
        labels: Mapping[str, int] = self.model.config.label2id
        if _YES not in labels:
            raise EditError(f"The judge “{name}” has no answer “yes” among its labels; give a ViLT model, or a CLIP model.")
        self.yes = labels[_YES]

    @torch.inference_mode()
    def __call__(self, pictures: torch.Tensor, prompts: Sequence[str]) -> list[int | None]:
        """The number of the text for each picture; there always is one."""
        scores = []
        for prompt in prompts:
            asked = [f"Does the picture show {prompt}?"] * len(pictures)
            given = self.processor(
                images=picture_bytes(pictures), text=asked, return_tensors="pt", padding=True, truncation=True
            )
            logits = self.model(**given.to(self.model.device)).logits.float()
            scores.append(logits.sigmoid()[:, self.yes].cpu())
        return [int(place) for place in torch.stack(scores, dim=1).argmax(dim=1)]


def judge_by_name(name: str, device: torch.device | str = "cpu") -> Judge:
    """A judge, by what kind of model stands there.

    Args:
        name: "pocket", or a folder, or a name on the hub.
        device: where it looks.

    Raises:
        EditError: it cannot be loaded, or is no such model.
    """
    if name == POCKET:
        return pocket_judge()
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING,
        MODEL_FOR_VISUAL_QUESTION_ANSWERING_MAPPING,
        MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING,
    )

    try:
        config = AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise EditError(
            f"The judge “{name}” cannot be loaded; give the folder of a CLIP model, an image classifier or a ViLT model with "
            f"its processor, or its name on the Hugging Face Hub, such as {DEFAULT_JUDGE}."
        ) from error
    classes = " ".join(getattr(config, "architectures", None) or ())
    if type(config) in MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING and "ForImageClassification" not in classes:
        return ClipJudge(name, device)
    if type(config) in MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING:
        return ClassifierJudge(ImageClassifier(name, device))
    if type(config) in MODEL_FOR_VISUAL_QUESTION_ANSWERING_MAPPING:
        return QuestionJudge(name, device)
    raise EditError(f"The judge “{name}” is no CLIP model, image classifier or ViLT model; give one of these.")
