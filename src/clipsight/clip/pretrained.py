"""Where published PyTorch weights are: a file or folder on disk, or a model of the Hugging Face hub.

The hub's files go to, and are looked for in, huggingface_hub's own cache, which transformers and OpenCLIP
share; so what one of them has downloaded is used, also without a network.
"""

import re
from pathlib import Path

from clipsight.clip.declared import FILES, PREPROCESSOR, declared_architecture
from clipsight.core.errors import CheckpointError
from clipsight.core.version import __version__
from clipsight.models import model_index
from clipsight.models.hub import HubError, as_hub_error, endpoint_for, network_errors

_REPO = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)
_SUFFIXES = (".pt", ".pth", ".bin", ".safetensors")
# Who publishes CLIP's weights for PyTorch, among the owners in the names a known model goes by.
_OWNERS = ("openai/", "laion/", "timm/", "apple/")


def locate(pretrained: str | Path) -> Path:
    """The weights file that `pretrained` means, downloaded now if it is a hub's and not on disk.

    A file or folder; `openai/clip-vit-base-patch32` or `hf-hub:owner/name` (a repository of the hub); or any
    other name of a published model that clipsight knows (`ViT-B-32__openai`, `ViT-B-32/laion2b_s34b_b79k`).
    Raises CheckpointError.
    """
    name = str(pretrained)
    path = Path(pretrained).expanduser()
    if path.exists():
        return path
    if isinstance(pretrained, Path) or name.startswith(("/", ".", "~")) or name.endswith(_SUFFIXES):
        raise CheckpointError(f"there are no weights at {path}; check the path")
    repo = repository(name)
    return _cached(repo) or _download(repo)


def repository(name: str) -> str:
    """The hub's repository ("owner/name") with the PyTorch weights of the model called `name`.

    Raises CheckpointError for a name that means none.
    """
    plain = name.removeprefix("hf-hub:")
    model = model_index.find(plain)
    if model is None and _REPO.fullmatch(plain):
        return plain
    aliases = model.aliases if model else ()
    published = [alias for alias in aliases if alias.startswith(_OWNERS)]
    if plain in published:
        return plain
    if published:
        return published[0]
    why = "is not published as PyTorch weights of CLIP" if model else "is not known"
    raise CheckpointError(
        f"the model {name!r} {why}; give a checkpoint's path or a repository of the hub as owner/name"
    )


def _cached(repo: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    for weights, config in FILES.items():
        found, described = (try_to_load_from_cache(repo, file) for file in (weights, config))
        if isinstance(found, str) and isinstance(described, str):
            return Path(found)
    return None


def _download(repo: str) -> Path:
    try:
        endpoint = endpoint_for(repo)
        try:
            return _fetch(repo, endpoint)
        except network_errors() as error:
            raise as_hub_error(error, repo, endpoint) from error
    except HubError as error:
        raise CheckpointError(f"{error.reason}; or give the path of a checkpoint on disk") from error


def _fetch(repo: str, endpoint: str) -> Path:
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint, library_name="clipsight", library_version=__version__)
    try:
        there = {file.rfilename for file in api.model_info(repo).siblings or ()}
    except (ValueError, TypeError, KeyError) as error:  # a page that is not the hub's, as a hotel's login
        if isinstance(error, network_errors()):
            raise
        raise CheckpointError(f"{endpoint} does not answer as a model hub; check HF_ENDPOINT") from error
    weights = next((file for file in FILES if file in there), None)
    if weights is None:
        raise CheckpointError(f"{repo} has no PyTorch weights in it; they would be {', '.join(FILES)}")
    if FILES[weights] in there:  # first, for it is small and may tell that the weights are of no use
        described = Path(api.hf_hub_download(repo, FILES[weights]))
        declared_architecture(described.with_name(weights))
    if PREPROCESSOR in there:
        api.hf_hub_download(repo, PREPROCESSOR)
    return Path(api.hf_hub_download(repo, weights))
