"""The table of known models is complete, unambiguous and names the sources of its figures."""

from urllib.parse import urlsplit

import pytest

from clipsight.models.model_index import find, lacks_onnx_export, nearest_names, published_models


def test_the_table_has_every_model_that_immich_publishes() -> None:
    names = [model.name for model in published_models()]
    assert len(names) == len(set(names)) == 58
    assert {model.repo for model in published_models()} == {f"immich-app/{name}" for name in names}


def test_every_name_and_alias_means_one_model() -> None:
    for model in published_models():
        for name in (model.name, model.repo, *model.aliases):
            assert find(name) is model
            assert not lacks_onnx_export(name)


def test_the_table_has_plausible_values_and_sources() -> None:
    for model in published_models():
        assert model.embed_dim in (512, 640, 768, 1024, 1152, 1536)
        assert model.context_length in (64, 77)
        assert 224 <= model.image_size <= 512
        assert model.license in ("MIT", "Apache-2.0", "CC-BY-NC-4.0", "apple-amlr")
        assert model.commercial == (model.license in ("MIT", "Apache-2.0"))
        assert model.size_bytes is None or 4e8 < model.size_bytes < 8e9
        for figure, source in (
            (model.imagenet_top1, model.source),
            (model.retrieval, model.retrieval_source),
        ):
            assert (figure is None) == (source is None)
            assert figure is None or 30 < figure < 90
            assert source is None or urlsplit(source).scheme == "https"


def test_figures_are_the_published_ones() -> None:
    """Spot checks against OpenCLIP's openclip_results.csv, big_vision's table and immich's table."""
    published = {
        "ViT-B-32__openai": (63.32, 59.37, 2.26),
        "ViT-B-32__laion2b-s34b-b79k": (66.56, 68.78, 2.29),
        "ViT-B-32-SigLIP2-256__webli": (74.0, 73.15, 3.31),
        "ViT-H-14-378-quickgelu__dfn5b": (84.37, 75.73, 108.4),
        "nllb-clip-base-siglip__mrl": (None, 69.66, 16.95),
        "LABSE-Vit-L-14": (None, None, None),
    }
    for name, figures in published.items():
        model = find(name)
        assert model is not None
        assert (model.imagenet_top1, model.retrieval, model.image_ms) == figures


def test_the_best_comes_first() -> None:
    figures = [model.retrieval or 0.0 for model in published_models()]
    assert figures == sorted(figures, reverse=True)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("openai/clip-vit-base-patch23", "openai/clip-vit-base-patch32"),
        ("ViT-B/33", "ViT-B/32"),
        ("ViT-L/14@338px", "ViT-L/14@336px"),
        ("vit-b-32__opnai", "ViT-B-32__openai"),
        ("ViT-B-32", "ViT-B-32__laion2b-s34b-b79k"),
        ("ViT-B-32-SigLIP2", "ViT-B-32-SigLIP2-256__webli"),
        ("buildin", "builtin"),
    ],
)
def test_names_similar_to_a_misspelt_one(name: str, expected: str) -> None:
    assert nearest_names(name)[0] == expected


def test_no_name_is_similar_to_nonsense() -> None:
    assert nearest_names("my holiday photos") == []


def test_nearest_names_are_of_three_different_models() -> None:
    near = nearest_names("siglip2")
    assert len(near) == len({find(name) for name in near}) == 3
    own = {model.name for model in published_models()}
    assert set(nearest_names("openai/clip-vit-base-patch23", aliases=False)) <= own
