"""Labels and prompt templates: "a photo of a {}." turns the label "dog" into text like a caption.

The embeddings of several prompts are averaged: prompt ensembling (Radford et al. 2021, arXiv:2103.00020,
section 3.1.4).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from clipsight.core import paths
from clipsight.core.errors import LabelError
from clipsight.core.text import is_utf8, nfc
from clipsight.search.label_embeddings import fill

PLAIN = ("{}",)
"""The label itself, for labels that are phrases or sentences."""

SIMPLE = (
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
)
"""Seven templates that OpenAI selected from its eighty: nearly as accurate, eleven times as fast. MIT,
https://github.com/openai/CLIP/blob/main/notebooks/Prompt_Engineering_for_ImageNet.ipynb"""

_IMAGENET = "prompts_imagenet.txt"  # eighty templates of the same notebook
_SETS = ("plain", "simple", "imagenet")


@dataclass(frozen=True)
class TemplateSet:
    """Prompt templates, each with one `{}` for the label, and the name of the set."""

    name: str
    templates: tuple[str, ...]

    def fill(self, label: str) -> list[str]:
        """One prompt per template, with the label in place of `{}`."""
        return fill(self.templates, label)


def load_templates(spec: str | None = None, extra: Sequence[str] = ()) -> TemplateSet:
    """Load the set `spec` ("plain", "simple", "imagenet", or a file of one template per line) and `extra`.

    Without `spec`, the set is `extra` alone, or "plain" if `extra` is empty. Raises `LabelError` for a
    template without exactly one `{}`, for an empty or unreadable file, and for an unknown name.
    """
    templates = tuple(_checked(template) for template in extra)
    if spec is None and templates:
        return TemplateSet("given", templates)
    name = spec or "plain"
    return TemplateSet(f"{name} and given" if templates else name, (*_read_set(name), *templates))


def read_labels(spec: str) -> tuple[str, ...]:
    """Read the labels in `spec`: "a,b,c", or the path of a UTF-8 file with one label per line.

    Raises `LabelError` as `check_labels` does, and for an empty or unreadable file.
    """
    if (file := paths.find_file(spec)) is not None:
        lines = _lines(file)
        if not lines:
            raise LabelError(f"{spec} is empty: write one label per line")
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                raise LabelError(f"{spec}, line {number} is blank: write one label per line")
        return check_labels(lines)
    if "," not in spec and spec.strip():
        raise LabelError(
            f"{spec!r} is neither a file of labels nor a list like cat,dog: at least two labels are needed"
        )
    return check_labels(spec.split(","))


def labels_of_classes(classes: Sequence[str]) -> tuple[str, ...]:
    """Class names with underscores replaced by spaces: "living_room" is "living room"."""
    return tuple(name.replace("_", " ") for name in classes)


def check_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Return the labels in NFC, stripped of white space.

    Raises `LabelError` for fewer than two labels, duplicates, and labels that are blank or not valid text.
    """
    found: dict[str, None] = {}
    for number, label in enumerate((nfc(label.strip()) for label in labels), start=1):
        if not label:
            raise LabelError(f"label {number} is blank: write a word or a phrase")
        if not is_utf8(label):
            raise LabelError(f"label {number}, {label!r}, is not UTF-8 text")
        if label in found:
            raise LabelError(f"the label {label!r} is there twice: remove one")
        found[label] = None
    if len(found) < 2:
        raise LabelError(f"at least two labels are needed to choose from (got {len(found)})")
    return tuple(found)


def _read_set(name: str) -> tuple[str, ...]:
    if name == "plain":
        return PLAIN
    if name == "simple":
        return SIMPLE
    if name == "imagenet":
        return tuple((files("clipsight.classification") / _IMAGENET).read_text(encoding="utf-8").splitlines())
    file = paths.find_file(name)
    if file is None:
        raise LabelError(
            f"no templates {name!r}: choose {', '.join(_SETS)}, or a file with one template per line"
        )
    templates = tuple(_checked(line, f"{name}: ") for line in _lines(file) if line.strip())
    if not templates:
        raise LabelError(f'{name} is empty: write one template per line, like "a photo of a {{}}."')
    return templates


def _checked(template: str, where: str = "") -> str:
    count = template.count("{}")
    if count != 1:
        has = "no" if count == 0 else f"{count} times"
        raise LabelError(
            f"{where}the template {template!r} has {has} {{}}: write one for the label, "
            'like "a photo of a {}."'
        )
    if not is_utf8(template):
        raise LabelError(f"{where}the template {template!r} is not UTF-8 text")
    return template.strip()


def _lines(file: Path) -> list[str]:
    """Lines of a text file, without blank lines at the end."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise LabelError(f"{file} is not UTF-8 text (byte {error.start + 1}): save it as UTF-8") from error
    except OSError as error:
        raise LabelError(f"can't read {file}: {error.strerror}") from error
    return text.rstrip("\n").split("\n") if text.rstrip("\n") else []
