"""What `clipsight export-model` makes of a ViT-B/32, in each precision: size, speed, nearness to PyTorch.

    python -m benchmarks.export FOLDER

The weights are random, for none ship with clipsight; FOLDER keeps them and what is exported. CPU seconds of
one thread, so that what else the machine does hardly counts. Random weights have none of the few large
activations that trained ones have, so how whole numbers should be scaled is measured on all-MiniLM-L6-v2 (the
extra [recipes]), in PyTorch, with the rounding that the exported graphs do.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks import measure
from clipsight.clip.checkpoint import save
from clipsight.clip.factory import create
from clipsight.export.export import export_model
from clipsight.export.onnx_graph import Precision, quantise
from clipsight.export.parity import TEXTS
from clipsight.indexing.sample_photos import sample_photos
from clipsight.models.encoder import Encoder
from clipsight.models.folder import ModelFolder

_PHOTOS, _TEXTS, _ROUNDS = 16, 16, 6
_SENTENCE = "two dogs on a beach at sunset, playing with a ball"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.export", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="for 1.7 GB of weights and models")
    folder = parser.parse_args().folder
    measure.print_machine("onnxruntime", "torch", "onnx")
    torch.manual_seed(0)
    save(create("ViT-B-32-quickgelu"), folder / "weights", "openclip")
    encoders = [export(folder, precision) for precision in get_args(Precision)]
    print("\nOne thread, photos/s, texts/s, ms a text alone; ms to load the text tower and embed the first:")
    for encoder, figures in zip(encoders, speeds(encoders), strict=True):
        print(encoder.name, *(f"{figure:.1f}" for figure in figures))
    print("\nall-MiniLM-L6-v2 in int8, lowest and mean cosine of texts to float32's:")
    for name, of_row in (("a scale for each row", True), ("one scale for the tensor", False)):
        lowest, mean = trained(of_row)
        print(f"{name}: {lowest:.4f} {mean:.4f}")


def export(folder: Path, precision: Precision) -> Encoder:
    start = time.process_time()
    done = export_model(
        folder / "weights", folder / precision, sample_photos(), precision=precision, overwrite=True
    )
    print(f"{time.process_time() - start:.0f} s CPU:", done.to_dict())
    return Encoder(ModelFolder.read(done.folder), threads=1)


def speeds(encoders: list[Encoder]) -> list[tuple[float, float, float, float]]:
    """The best of several rounds, the models taking turns."""
    pixels = np.random.default_rng(0).integers(0, 256, (_PHOTOS, *encoders[0].input_size, 3), np.uint8)
    texts = [_SENTENCE] * _TEXTS
    first = [seconds(encoder.encode_texts, texts[:1]) for encoder in encoders]
    photos, many, one = ([np.inf] * len(encoders) for _ in range(3))
    for _ in range(_ROUNDS):
        for row, encoder in enumerate(encoders):
            photos[row] = min(photos[row], seconds(encoder.encode_pixels, pixels))
            many[row] = min(many[row], seconds(encoder.encode_texts, texts))
            one[row] = min(one[row], seconds(encoder.encode_texts, texts[:1]))
    rows = zip(photos, many, one, first, strict=True)
    return [(_PHOTOS / photo, _TEXTS / text, 1000 * a, 1000 * b) for photo, text, a, b in rows]


def seconds(call: Callable[[Any], object], argument: Any) -> float:
    start = time.thread_time()
    call(argument)
    return time.thread_time() - start


@torch.inference_mode()
def trained(of_row: bool) -> tuple[float, float]:
    from tokenizers import Tokenizer

    from recipes.builtin.towers import load_text_tower, tokenizer_file

    tokenizer = Tokenizer.from_file(str(tokenizer_file()))
    tokenizer.enable_padding()
    ids = torch.tensor([encoding.ids for encoding in tokenizer.encode_batch(list(TEXTS))])
    tower = load_text_tower()
    wanted = F.normalize(tower(ids), dim=-1)
    for module in tower.modules():
        if isinstance(module, nn.Linear):
            in_int8(module, of_row)
    cosines = (F.normalize(tower(ids), dim=-1) * wanted).sum(dim=-1)
    return cosines.min().item(), cosines.mean().item()


def in_int8(linear: nn.Linear, of_row: bool) -> None:
    """Make `linear` round its weight and its input, as `onnx_graph` does with a scale for each row."""
    values, scale = quantise(linear.weight.detach().numpy(), 0, 64)
    linear.weight.copy_(torch.from_numpy(values * scale))

    def rounded(_: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        size = inputs[0].abs()
        step = (size.amax(dim=-1, keepdim=True) if of_row else size.amax()).clamp(min=1e-12) / 127
        return torch.round(inputs[0] / step) * step

    linear.register_forward_pre_hook(rounded)


if __name__ == "__main__":
    main()
