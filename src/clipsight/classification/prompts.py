"""Labels and prompt templates: "a photo of a {}." turns the label "dog" into a sentence as captions have it.

A label is described by several templates whose embeddings are averaged (CLIP, arXiv:2103.00020, section
3.1.4). Called by `classify`, `cli` and whoever else turns class names into vectors.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from clipsight.core.errors import LabelError
from clipsight.search.label_embeddings import fill

PLAIN = ("{}",)
"""The label as it stands: for labels that are sentences already."""

SIMPLE = (
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
)
"""The seven that OpenAI picked from the eighty below: nearly as accurate, eleven times as fast. MIT licence,
https://github.com/openai/CLIP/blob/main/notebooks/Prompt_Engineering_for_ImageNet.ipynb"""

_IMAGENET = "prompts_imagenet.txt"  # the eighty of the same notebook
_SETS = ("plain", "simple", "imagenet")


@dataclass(frozen=True)
class TemplateSet:
    """Prompt templates, each with one `{}` where the label goes, and the name they go by."""

    name: str
    templates: tuple[str, ...]

    def fill(self, label: str) -> list[str]:
        """One text per template; braces in the label are ordinary characters."""
        return fill(self.templates, label)


def load_templates(spec: str | None = None, extra: Sequence[str] = ()) -> TemplateSet:
    """The set `spec` ("plain", "simple", "imagenet", or a file with one template a line) and `extra` ones.

    Without `spec`, `extra` alone, or "plain" if that is empty. Raises `LabelError` for a template that
    has not exactly one `{}`, for an empty or unreadable file, and for a name that is no set.
    """
    templates = tuple(_checked(template) for template in extra)
    if spec is None and templates:
        return TemplateSet("given", templates)
    name = spec or "plain"
    return TemplateSet(f"{name} and given" if templates else name, (*_read_set(name), *templates))


def read_labels(spec: str) -> tuple[str, ...]:
    """The labels in `spec`: "a,b,c", or the path of a file with one label a line (UTF-8).

    Raises `LabelError` as `check_labels` does, and for a file that is empty or can't be read.
    """
    if _is_file(spec):
        lines = _lines(Path(spec).expanduser())
        if not lines:
            raise LabelError(f"{spec} is empty: write one label a line")
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                raise LabelError(f"{spec}, line {number} is blank: write one label a line")
        return check_labels(lines)
    if "," not in spec and spec.strip():
        raise LabelError(
            f"{spec!r} is neither a file of labels nor labels like cat,dog: at least two are needed"
        )
    return check_labels(spec.split(","))


def labels_of_classes(classes: Sequence[str]) -> tuple[str, ...]:
    """Class names as words: an underscore is read as a space ("living_room" as "living room")."""
    return tuple(name.replace("_", " ") for name in classes)


def check_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """The labels without white space around them.

    Raises `LabelError` for fewer than two, for duplicates, and for one that is blank or no text.
    """
    found: dict[str, None] = {}
    for number, label in enumerate(map(str.strip, labels), start=1):
        if not label:
            raise LabelError(f"label {number} is blank: write what it stands for")
        if not _is_text(label):
            raise LabelError(f"label {number}, {label!r}, is not UTF-8 text")
        if label in found:
            raise LabelError(f"the label {label!r} is there twice: take one away")
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
    if not _is_file(name):
        raise LabelError(f"no templates {name!r}: choose {', '.join(_SETS)}, or a file with one a line")
    templates = tuple(_checked(line, f"{name}: ") for line in _lines(Path(name).expanduser()) if line.strip())
    if not templates:
        raise LabelError(f'{name} is empty: write one template a line, like "a photo of a {{}}."')
    return templates


def _checked(template: str, where: str = "") -> str:
    count = template.count("{}")
    if count != 1:
        has = "no" if count == 0 else f"{count} times"
        raise LabelError(
            f"{where}the template {template!r} has {has} {{}}: write one where the label goes, "
            'like "a photo of a {}."'
        )
    if not _is_text(template):
        raise LabelError(f"{where}the template {template!r} is not UTF-8 text")
    return template.strip()


def _lines(file: Path) -> list[str]:
    """The lines of a text file, without blank space at its end."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise LabelError(f"{file} is not UTF-8 text (byte {error.start + 1}): save it as UTF-8") from error
    except OSError as error:
        raise LabelError(f"can't read {file}: {error.strerror}") from error
    return text.rstrip("\n").split("\n") if text.rstrip("\n") else []


def _is_text(text: str) -> bool:
    """Whether it can be written as UTF-8: bytes of a command line that are not leave lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_file(value: str) -> bool:
    try:
        return Path(value).expanduser().is_file()
    except (OSError, ValueError, RuntimeError):  # too long, a NUL byte, an unknown user's home
        return False
