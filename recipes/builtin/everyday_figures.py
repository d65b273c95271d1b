"""Figures on everyday things, other languages and small albums; every function takes an open Bench."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
from PIL import Image

from .data import Photo, class_names
from .evaluate import Bench
from .everyday import LABELLED, NAMED, chinese_names
from .languages import PROMISED, captions_in, load_pairs, names_in
from .metrics import Vectors, average_precision, found_within
from .words import class_words

ALBUM = 31
"""Photos of an album, as many as the phone album of the issue has."""

ALBUM_WORDS: Mapping[str, str] = {
    "airplane": "飞机", "apple": "苹果", "baby": "婴儿", "baseball": "棒球", "bathroom": "浴室",
    "bear": "熊", "bed": "床", "bench": "长椅", "bicycle": "自行车", "bird": "鸟", "boat": "船",
    "book": "书", "bottle": "瓶子", "bowl": "碗", "broccoli": "西兰花", "bus": "公共汽车",
    "cake": "蛋糕", "car": "汽车", "cat": "猫", "chair": "椅子", "clock": "钟", "couch": "沙发",
    "cow": "牛", "cup": "杯子", "desk": "书桌", "dog": "狗", "donut": "甜甜圈", "elephant": "大象",
    "fire hydrant": "消防栓", "flower": "花", "frisbee": "飞盘", "fruit": "水果", "giraffe": "长颈鹿",
    "glasses": "眼镜", "horse": "马", "hot dog": "热狗", "keyboard": "键盘", "kitchen": "厨房",
    "kite": "风筝", "laptop": "笔记本电脑", "microwave": "微波炉", "mirror": "镜子",
    "motorcycle": "摩托车", "mouse": "鼠标", "ocean": "海", "oven": "烤箱", "phone": "手机",
    "pizza": "披萨", "plane": "飞机", "refrigerator": "冰箱", "remote": "遥控器", "sandwich": "三明治",
    "scissors": "剪刀", "sheep": "羊", "sign": "标志", "sink": "水槽", "skateboard": "滑板",
    "snow": "雪", "stop sign": "停车标志", "suitcase": "行李箱", "surfboard": "冲浪板", "table": "桌子",
    "teddy bear": "泰迪熊", "television": "电视", "tennis": "网球", "tie": "领带", "toilet": "马桶",
    "toothbrush": "牙刷", "traffic light": "红绿灯", "train": "火车", "truck": "卡车",
    "umbrella": "雨伞", "vase": "花瓶", "wine": "葡萄酒", "zebra": "斑马",
}  # fmt: skip
"""What people look for in COCO's photos, with its Chinese."""

WORD_LANGUAGES = ("en", *PROMISED)
_MIXED = 2000


def label_figures(
    bench: Bench, split: str, only: Collection[str] | None = None
) -> dict[str, dict[str, float]]:
    """Mean average precision of each label as a query, and zero-shot top-1, by labelled set, in per cent.

    With `only`, the queries are the labels in it, and sets that have none are left out.
    """
    result = {}
    for source in LABELLED:
        photos, images = bench.of(source, split)
        labels = sorted({photo.label for photo in photos})
        scores = bench.encoder.encode_texts(labels) @ images.T
        truth = np.array([[photo.label == label for photo in photos] for label in labels])
        asked = [i for i, label in enumerate(labels) if only is None or label in only]
        if not asked:
            continue
        found = [average_precision(scores[i], truth[i]) for i in asked]
        right = truth[scores.argmax(0), np.arange(len(photos))]
        chosen = truth[asked].any(0)
        result[source] = {
            "mean_average_precision": round(100 * float(np.mean(found)), 1),
            "zero_shot_top_1": round(100 * float(right[chosen].mean()), 1),
        }
    return result


def mean_of(by_set: Mapping[str, Mapping[str, float]], figure: str) -> float:
    """Mean of one figure over the sets."""
    return round(float(np.mean([figures[figure] for figures in by_set.values()])), 1)


def name_figures(bench: Bench, split: str) -> dict[str, float]:
    """Per cent of names, English and Chinese, that find their photo in the first ten of all named sets."""
    parts = [bench.of(source, split) for source in NAMED]
    photos = [photo for chosen, _ in parts for photo in chosen]
    images = np.concatenate([vectors for _, vectors in parts])
    chinese = chinese_names(bench.data)
    dishes = [i for i, photo in enumerate(photos) if photo.path in chinese]
    return {
        "names_recall_at_10": _own_photo(
            bench, images, [photo.label for photo in photos], range(len(photos))
        ),
        "chinese_dishes_recall_at_10": _own_photo(
            bench, images, [chinese[photos[i].path] for i in dishes], dishes
        ),
        "photos": len(photos),
    }


def _own_photo(bench: Bench, images: Vectors, names: Sequence[str], owners: Iterable[int]) -> float:
    truth = np.zeros((len(names), len(images)), bool)
    truth[np.arange(len(names)), list(owners)] = True
    for i, name in enumerate(names):  # two photos of one name are both right
        truth[i] = truth[[k for k, other in enumerate(names) if other == name]].any(0)
    return found_within(bench.encoder.encode_texts(names) @ images.T, truth, 10)


def language_recall(bench: Bench, language: str, split: str) -> list[float]:
    """Recall at 1, 5 and 10 of Flickr8k photos by captions in `language`, among all photos of the split.

    Photos without captions in the language are not asked for, but may be found wrongly.
    """
    photos, images = bench.of("flickr", split)
    captions = captions_in(bench.data, language)
    owner = [i for i, photo in enumerate(photos) for _ in captions.get(photo.path, ())]
    texts = bench.encoder.encode_texts([text for photo in photos for text in captions.get(photo.path, ())])
    truth = np.zeros((len(owner), len(photos)), bool)
    truth[np.arange(len(owner)), owner] = True
    scores = texts @ images.T
    return [found_within(scores, truth, k) for k in (1, 5, 10)]


def _shows(photo: Photo, word: str) -> bool:
    """Two or more of the photo's captions name the thing."""
    pattern = re.compile(rf"\b{word}(s|es)?\b")
    return sum(bool(pattern.search(caption.lower())) for caption in photo.captions) >= 2


def album_figures(bench: Bench, split: str) -> dict[str, float]:
    """Everyday words over albums of ALBUM COCO photos: per cent of words with a right photo first."""
    photos, images = bench.of("coco", split)
    asked, hits = 0, {"en": 0, "zh": 0}
    words = list(ALBUM_WORDS)
    texts = {
        "en": bench.encoder.encode_texts(words),
        "zh": bench.encoder.encode_texts(list(ALBUM_WORDS.values())),
    }
    for start in range(0, len(photos) - ALBUM + 1, ALBUM):
        album = range(start, start + ALBUM)
        for i, word in enumerate(words):
            truth = [_shows(photos[k], word) for k in album]
            if not any(truth):
                continue
            asked += 1
            for language, vectors in texts.items():
                hits[language] += truth[int((images[start : start + ALBUM] @ vectors[i]).argmax())]
    return {
        "queries": asked,
        "english_first": round(100 * hits["en"] / asked, 1),
        "chinese_first": round(100 * hits["zh"] / asked, 1),
    }


def word_figures(bench: Bench, split: str) -> dict[str, dict[str, float]]:
    """One-word queries: per cent of the nouns with a photo of them in the first five of mixed photos."""
    sources = sorted({photo.source for photo in bench.photos} - {"imagenet"})
    parts = [bench.of(source, split) for source in sources]
    photos = [photo for chosen, _ in parts for photo in chosen]
    images = np.concatenate([vectors for _, vectors in parts])
    order = sorted(range(len(photos)), key=lambda i: hashlib.sha256(photos[i].path.encode()).digest())
    kept = [i for i in order if photos[i].source in LABELLED]
    kept += [i for i in order if photos[i].source not in LABELLED][: _MIXED - len(kept)]
    photos, images = [photos[i] for i in kept], images[kept]

    nouns = sorted({photo.label for photo in photos if photo.source in LABELLED})
    tables = names_in(load_pairs(bench.data, ()), WORD_LANGUAGES)
    result = {}
    for language in WORD_LANGUAGES:
        known = [noun for noun in nouns if language == "en" or noun in tables[language]]
        if not known:
            result[language] = {"words": 0}
            continue
        asked = known if language == "en" else [tables[language][noun][0] for noun in known]
        truth = np.array([[noun in (photo.label, *photo.captions) for photo in photos] for noun in known])
        scores = bench.encoder.encode_texts(asked) @ images.T
        result[language] = {"words": len(known), "in_first_five": found_within(scores, truth, 5)}
    return result


def imagenet_figures(bench: Bench) -> dict[str, float]:
    """Names of ImageNet's classes over an unseen view of each sample: recall at 1 and 10 of a thousand.

    The view is the middle four fifths, mirrored: the recipe's own views are other crops.
    """
    names = class_names(bench.data)
    words = [class_words(i, name)[0] for i, name in enumerate(names)]
    photos = sorted((p for p in bench.photos if p.source == "imagenet"), key=lambda photo: photo.path)
    images = bench.embed([photo.path for photo in photos], _middle)
    scores, truth = bench.encoder.encode_texts(words) @ images.T, np.eye(len(names), dtype=bool)
    return {"recall_at_1": found_within(scores, truth, 1), "recall_at_10": found_within(scores, truth, 10)}


def _middle(image: Image.Image) -> Image.Image:
    wide, high = image.size
    box = (wide // 10, high // 10, wide - wide // 10, high - high // 10)
    return image.crop(box).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
