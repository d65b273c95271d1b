"""The texts of the page in English, Traditional and Simplified Chinese, from `locales/CODE.json`.

Placeholders in braces are filled in by `str.format` in Python and by `clipsight.fill` in the browser.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from clipsight.core.errors import (
    BusyError,
    ClipsightError,
    LabelError,
    ModelError,
    NoModelError,
    NotFoundError,
    PhotoError,
    QueryError,
)

_LOCALES = Path(__file__).parent / "locales"


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts in one language; the fields are the keys of its JSON file."""

    code: str
    """BCP 47 tag; also the path of the page on the server: /en/, /zh-Hant/, /zh-Hans/."""
    language: str

    # tabs
    search: str
    classify: str
    library: str

    # the query
    search_label: str
    placeholder: str
    hint: str
    add_picture: str
    drop_search: str
    query_parts: str
    added: str
    subtracted: str
    weight_of: str
    remove: str
    unreadable: str
    too_large: str

    # filters
    filters: str
    folder: str
    all_folders: str
    date_from: str
    date_to: str
    date_example: str
    label_filter: str
    balance: str
    balance_info: str
    sure: str
    sure_info: str
    duplicates: str
    duplicates_info: str

    # photos
    results: str
    best_first: str
    result_count: str
    one_result: str
    no_results: str
    some_photos: str
    photo_with_score: str
    photo_unavailable: str
    more_photos: str

    # one photo
    close: str
    previous: str
    next: str
    score: str
    taken: str
    file_date: str
    pixels: str
    size: str
    camera: str
    format: str
    labels: str
    path: str
    copy: str
    copy_done: str
    more_like_this: str
    explain: str
    explaining: str
    add_to_classify: str
    full_size: str
    contributions: str
    contributions_info: str
    heat_map: str
    heat_map_info: str
    raises: str
    lowers: str

    # classification
    photos: str
    drop_classify: str
    choose: str
    use_results: str
    clear: str
    no_photos: str
    labels_title: str
    labels_hint: str
    labels_example: str
    template_choice: str
    template_plain: str
    template_simple: str
    template_imagenet: str
    unknown: str
    unknown_info: str
    classify_button: str
    need_photos: str
    need_labels: str
    probabilities: str
    photo: str
    download: str

    # the library and indexing
    welcome: str
    welcome_info: str
    add_folder: str
    choose_folder: str
    back_to: str
    index_folder: str
    no_roots: str
    no_subfolders: str
    stop: str
    stopping: str
    scanning: str
    progress: str
    done: str
    stopped: str
    failed: str
    unread_files: str
    library_total: str
    folders: str
    indexed: str
    not_indexed_yet: str
    unreachable: str
    index_again: str
    update_all: str
    failures: str
    failures_shown: str
    retry_failures: str
    model: str
    no_model: str
    switching_model: str
    switch_to: str
    switch: str
    switch_info: str
    to_download: str

    # errors; {reason} is the message of the exception, which is English
    bad_query: str
    bad_picture: str
    bad_labels: str
    bad_library: str
    bad_model: str
    not_found: str
    busy: str
    nothing_indexed: str

    @classmethod
    def load(cls, code: str) -> "Texts":
        """Read a language. Raises `TypeError` if its file lacks a text or has an unknown one."""
        return cls(code, **json.loads((_LOCALES / f"{code}.json").read_text(encoding="utf-8")))

    def error_message(self, error: ClipsightError) -> str:
        """One line: the kind of error in this language, with the exception's message."""
        match error:
            case QueryError():
                text = self.bad_query
            case PhotoError():
                text = self.bad_picture
            case LabelError():
                text = self.bad_labels
            case ModelError():
                text = self.bad_model
            case NotFoundError():
                text = self.not_found
            case BusyError():
                text = self.busy
            case NoModelError():
                text = self.nothing_indexed
            case _:
                text = self.bad_library
        return text.format(reason=error)


ENGLISH, TRADITIONAL, SIMPLIFIED = ALL = tuple(map(Texts.load, ("en", "zh-Hant", "zh-Hans")))


def preferred(accept_language: str) -> Texts:
    """The best language for an Accept-Language header; English if none of its languages is available."""
    for tag in _by_preference(accept_language):
        language, *subtags = tag.lower().split("-")
        if language == "en":
            return ENGLISH
        if language == "zh":
            return TRADITIONAL if {"hant", "tw", "hk", "mo"} & set(subtags) else SIMPLIFIED
    return ENGLISH


def _by_preference(accept_language: str) -> list[str]:
    """The language tags of the header by descending quality (RFC 9110, 12.5.4); invalid items are ignored."""
    tags = []
    for item in accept_language[:1000].split(","):
        tag, _, quality = item.strip().partition(";q=")
        try:
            weight = float(quality or 1)
        except ValueError:
            continue
        if tag and 0 < weight <= 1:
            tags.append((-weight, tag))
    return [tag for _, tag in sorted(tags, key=lambda pair: pair[0])]
