"""Model folders: reading, completeness check and fingerprint.

The layout is that of the model repositories that immich publishes (docs/models.md).
"""

import json
import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from clipsight.core import paths
from clipsight.core.errors import ModelError
from clipsight.core.files import atomic_write
from clipsight.models.preprocess import PreprocessConfig

CALIBRATION = "calibration.npz"
"""Name of the file with the model's calibration of scores (`search.confidence`)."""

_CONFIG = "config.json"
_PARTS = ("visual/model.onnx", "visual/preprocess_cfg.json", "textual/model.onnx", "textual/tokenizer.json")
REQUIRED_FILES = (_CONFIG, *_PARTS)
"""Files that every model folder has; it may have others, such as external weights beside `model.onnx`."""

MULTILINGUAL = "multilingual"
"""Optional folder of a second text tower, for the texts that `textual/` does not read: see `text_routing`."""

ENGLISH_WORDS = "english.txt"
"""Words of the texts that stay with `textual/`, one a line, in the folder `MULTILINGUAL`."""

_TOWERS = ("visual", "textual", MULTILINGUAL)
_MULTILINGUAL_PARTS = tuple(
    f"{MULTILINGUAL}/{name}" for name in ("model.onnx", "tokenizer.json", ENGLISH_WORDS)
)
# Towers for other runtimes (ARM NN, Rockchip NPU), beside the ONNX file in some repositories.
_OTHER_RUNTIMES = (".armnn", ".rknn")

# The paper clips the learned logit scale at this value, which most trained CLIP models have.
_CLIP_LOGIT_SCALE = 100.0
_CLIP_CONTEXT = 77


@dataclass(frozen=True)
class ModelFolder:
    """A complete model folder, as its `config.json` describes it.

    `logit_scale` multiplies cosines before a softmax (or, with `logit_bias` added, a sigmoid: SigLIP). If the
    folder lacks the trained values, the scale is 100 (CLIP, arXiv:2103.00020, section 2.5), the bias is
    OpenCLIP's `init_logit_bias`, and `logit_scale_assumed` is True.
    `pad_to_context` is True if the text tower also attends to the padding (OpenCLIP's `no_causal_mask`:
    SigLIP, MobileCLIP), so that less padding would change the vector.
    `languages` are those that the model reads, as codes like "en"; empty if the folder does not say.
    `is_multilingual` is True if there is a second text tower in `multilingual/`.
    """

    path: Path
    name: str
    embed_dim: int
    context_length: int
    preprocess: PreprocessConfig
    tokenizer_kwargs: Mapping[str, Any] = field(default_factory=dict)
    logit_scale: float = _CLIP_LOGIT_SCALE
    logit_scale_assumed: bool = True
    logit_bias: float | None = None
    license: str | None = None
    provenance: str | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)
    pad_to_context: bool = False
    languages: tuple[str, ...] = ()
    is_multilingual: bool = False
    photo_identity: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "ModelFolder":
        """Read and check the folder at `path`, without loading the model.

        Raises ModelError, which names the missing or invalid file.
        """
        path = Path(path)
        if not os.path.isdir(path):
            raise ModelError(f"no model folder at {path}; `clipsight models` lists what there is")
        is_multilingual = os.path.isdir(path / MULTILINGUAL)
        for part in (*REQUIRED_FILES, *(_MULTILINGUAL_PARTS if is_multilingual else ())):
            _check_present(path, part)
        config = _json_object(path, _CONFIG)
        own = _section(path, config, "clipsight")
        text = _section(path, config, "text_cfg")
        scale = _number(path, own, "logit_scale")
        if scale is not None and scale <= 0:
            raise _invalid(path, f"{_CONFIG} has logit_scale {scale:g}; it must be above 0")
        bias = _number(path, own, "logit_bias")
        return cls(
            path=path,
            name=str(own.get("name") or path.resolve().name),
            embed_dim=_count(path, config, "embed_dim", None),
            context_length=_count(path, text, "context_length", _CLIP_CONTEXT),
            preprocess=_preprocess(path),
            tokenizer_kwargs=_section(path, text, "tokenizer_kwargs"),
            logit_scale=_CLIP_LOGIT_SCALE if scale is None else scale,
            logit_scale_assumed=scale is None,
            logit_bias=_number(path, config, "init_logit_bias") if bias is None else bias,
            license=_text(own, "license") or _text(own, "licence"),
            provenance=_text(own, "provenance"),
            figures=_section(path, own, "figures"),
            pad_to_context=bool(text.get("no_causal_mask", False)),
            languages=_codes(path, own),
            is_multilingual=is_multilingual,
            photo_identity=_photo_identity(path, own),
        )

    def fingerprint(self) -> str:
        """Return 32 hex digits, the identity of the model by which vectors of photos are kept.

        It is `content_hash()`, unless only the text side changed since another edition of the model. Then
        `photo_identity` in `config.json` gives the hash of the files of `visual/` and the fingerprint of that
        edition, which is returned if the hash is right.
        """
        if self.photo_identity and self.photo_identity["visual"] == self.visual_hash():
            return self.photo_identity["fingerprint"]
        return self.content_hash()

    def visual_hash(self) -> str:
        """Return 32 hex digits: the `content_hash` of the files of `visual/` alone."""
        return _combined({name: each for name, each in self._digests().items() if name.startswith("visual/")})

    def content_hash(self) -> str:
        """Return 32 hex digits: XXH3-128 over the names and content of the files that determine vectors.

        Those are the direct files of `visual/`, `textual/` and `multilingual/`, not the metadata in
        `config.json`. Digests are cached in `fingerprints.json` in clipsight's home, since hashing 600 MB at
        every start is slow.
        """
        return _combined(self._digests())

    def _digests(self) -> dict[str, str]:
        """Digest of each file that determines vectors, by its name, sorted."""
        cached = _load_digests()
        new_digests: dict[str, str] = {}
        try:
            digests = {name: _digest(self.path, name, cached, new_digests) for name in self._files()}
        except OSError as error:
            raise _invalid(self.path, f"a part can't be read ({error.strerror})") from error
        if new_digests:
            _save_digests(cached | new_digests)
        return digests

    def _files(self) -> list[str]:
        found: Iterator[str] = (
            f"{tower}/{file.name}"
            for tower in _TOWERS
            if tower != MULTILINGUAL or self.is_multilingual
            for file in (self.path / tower).iterdir()
            if os.path.isfile(file)
        )
        return [name for name in model_files(found) if name != _CONFIG]


def model_files(names: Iterable[str]) -> list[str]:
    """Select the files of a model folder from relative names (separated by `/`), sorted.

    These are `config.json`, `calibration.npz` and the direct, non-hidden files of `visual/`, `textual/` and
    `multilingual/`; sub-folders and `.armnn`/`.rknn` files hold the same towers for other runtimes.
    """
    return sorted(name for name in names if _is_model_file(name))


def _is_model_file(name: str) -> bool:
    if name in (_CONFIG, CALIBRATION):
        return True
    parts = PurePosixPath(name).parts
    return (
        len(parts) == 2
        and parts[0] in _TOWERS
        and not parts[1].startswith(".")
        and not parts[1].endswith(_OTHER_RUNTIMES)
    )


def _invalid(path: Path, what: str) -> ModelError:
    return ModelError(f"model folder {path}: {what}")


def _check_present(path: Path, part: str) -> None:
    file = path / part
    try:
        with file.open("rb") as stream:
            start = stream.read(48)
    except FileNotFoundError:
        raise _invalid(path, f"{part} is missing; download or export the model again") from None
    except OSError as error:
        raise _invalid(path, f"{part} can't be read ({error.strerror})") from error
    if start.startswith(b"version https://git-lfs"):
        raise _invalid(path, f"{part} is a Git LFS pointer, not the file; run `git lfs pull` there")
    if not start:
        raise _invalid(path, f"{part} is empty; download or export the model again")


def _json_object(path: Path, part: str) -> dict[str, Any]:
    try:
        content = json.loads((path / part).read_bytes())
    except (ValueError, RecursionError) as error:
        raise _invalid(path, f"{part} is not JSON ({error})") from error
    except OSError as error:
        raise _invalid(path, f"{part} can't be read ({error.strerror})") from error
    if not isinstance(content, dict):
        raise _invalid(path, f"{part} is not a JSON object")
    return content


def _preprocess(path: Path) -> PreprocessConfig:
    try:
        return PreprocessConfig.from_dict(_json_object(path, "visual/preprocess_cfg.json"))
    except ModelError as error:
        if str(path) in str(error):
            raise
        raise _invalid(path, str(error)) from error


def _section(path: Path, config: Mapping[str, Any], name: str) -> dict[str, Any]:
    section = config.get(name)
    if section is None:
        return {}
    if not isinstance(section, dict):
        raise _invalid(path, f"{_CONFIG} has {name} = {section!r}; it must be an object")
    return section


def _count(path: Path, config: Mapping[str, Any], name: str, default: int | None) -> int:
    value = config.get(name, default)
    if value is None and default is None:
        raise _invalid(path, f"{_CONFIG} has no {name}")
    value = default if value is None else value
    if type(value) is not int or value < 1:
        raise _invalid(path, f"{_CONFIG} has {name} = {value!r}; it must be a whole number above 0")
    return value


def _number(path: Path, config: Mapping[str, Any], name: str) -> float | None:
    value = config.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _invalid(path, f"{_CONFIG} has {name} = {value!r}; it must be a number")
    return float(value)


def _text(config: Mapping[str, Any], name: str) -> str | None:
    value = config.get(name)
    return None if value is None else str(value)


def _codes(path: Path, config: Mapping[str, Any]) -> tuple[str, ...]:
    value = config.get("languages")
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(code, str) for code in value):
        raise _invalid(path, f'{_CONFIG} has languages = {value!r}; it must be a list of codes like "en"')
    return tuple(value)


def _photo_identity(path: Path, config: Mapping[str, Any]) -> dict[str, str]:
    identity = _section(path, config, "photo_identity")
    if identity and not all(isinstance(identity.get(name), str) for name in ("visual", "fingerprint")):
        raise _invalid(path, f"{_CONFIG}: photo_identity needs the texts visual and fingerprint")
    return identity


def _combined(digests: Mapping[str, str]) -> str:
    import xxhash

    whole = xxhash.xxh3_128()
    for name, digest in digests.items():
        whole.update(f"{name}\0{digest}\n".encode())
    return whole.hexdigest()


# The cache of digests: {"visual/model.onnx 351528 1712...": digest}. If it is damaged or can't be written,
# the files are hashed again.

_MAX_CACHED = 512
# A file changed more recently may change again within the clock's resolution and keep its key.
_MIN_AGE_SECONDS = 2.0


def _digest(path: Path, name: str, cached: Mapping[str, str], new_digests: dict[str, str]) -> str:
    import xxhash

    file = path / name
    stat = file.stat()
    key = f"{name} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}"
    if key in cached:
        return cached[key]
    content = xxhash.xxh3_128()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            content.update(block)
    digest = content.hexdigest()
    if time.time() - max(stat.st_mtime, stat.st_ctime) > _MIN_AGE_SECONDS:
        new_digests[key] = digest
    return digest


def _load_digests() -> dict[str, str]:
    try:
        cached = json.loads((paths.home() / "fingerprints.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(cached, dict) or not all(isinstance(value, str) for value in cached.values()):
        return {}
    return cached


def _save_digests(cached: Mapping[str, str]) -> None:
    newest = dict(list(cached.items())[-_MAX_CACHED:])
    with suppress(ModelError, OSError):
        paths.home().mkdir(parents=True, exist_ok=True)
        with atomic_write(paths.home() / "fingerprints.json", error=ModelError) as temporary:
            temporary.write_text(json.dumps(newest, indent=0))
