"""The Search tab: search box, parts, filters, results, and one photo in detail."""

import base64
import io
import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from clipsight.core.dates import end_of
from clipsight.core.errors import ClipsightError, NoModelError
from clipsight.models.encoder import Cancelled
from clipsight.search.options import SearchOptions
from clipsight.search.results import Match, Matches
from clipsight.store.filters import Filters
from clipsight.web.page.components import UNQUEUED, json_value, script_component
from clipsight.web.page.parsing import (
    QueryInput,
    event_data,
    parse_number,
    parse_photo_id,
    parse_text,
    parse_texts,
)
from clipsight.web.page.texts import Texts
from clipsight.web.service.query_parts import PhotoPart, QueryPart, TextPart, UploadPart
from clipsight.web.service.service import Service

if TYPE_CHECKING:
    from clipsight.explain.base import Explanation

PAGE_SIZE = 60
"""Number of results shown at first, and added when the visitor scrolls near the end of the page."""

_ANY_PHOTO = "photo"
"""Query for an empty search box, for which some photos are shown."""


@dataclass(frozen=True)
class FilterInputs:
    """The components of the filters, in the order in which `find` takes their values."""

    folder: Any
    taken_from: Any
    taken_to: Any
    labels: Any
    balance: Any
    sure: Any
    duplicates: Any

    def all(self) -> list[Any]:
        """All components."""
        return [
            self.folder,
            self.taken_from,
            self.taken_to,
            self.labels,
            self.balance,
            self.sure,
            self.duplicates,
        ]


class Search:
    """The components of the tab, created inside a `gr.Blocks`, and their event handlers."""

    def __init__(self, service: Service, texts: Texts) -> None:
        self.service, self.texts = service, texts
        self.query = script_component("query", texts, events=("search",))
        self.rows = script_component("rows", texts)
        self.filters = self._filters()
        self.gallery = script_component("gallery", texts, events=("more", "open"))
        self.detail = script_component("detail", texts, events=("open", "explain", "cancel", "classify"))
        self._explaining: dict[str, threading.Event] = {}

    def _filters(self) -> FilterInputs:
        texts = self.texts
        with gr.Accordion(texts.filters, open=False, elem_id="cs-filters"):
            with gr.Row():
                folder = gr.Dropdown([(texts.all_folders, "")], value="", label=texts.folder, min_width=220)
                labels = gr.Dropdown([], value=[], label=texts.label_filter, multiselect=True, min_width=220)
                taken_from = gr.Textbox(label=texts.date_from, placeholder=texts.date_example, min_width=140)
                taken_to = gr.Textbox(label=texts.date_to, placeholder=texts.date_example, min_width=140)
            with gr.Row():
                balance = gr.Checkbox(True, label=texts.balance, info=texts.balance_info, min_width=260)
                sure = gr.Checkbox(False, label=texts.sure, info=texts.sure_info, min_width=260)
                duplicates = gr.Checkbox(
                    False, label=texts.duplicates, info=texts.duplicates_info, min_width=260
                )
        return FilterInputs(folder, taken_from, taken_to, labels, balance, sure, duplicates)

    def connect(self) -> None:
        """Connect the events.

        Every search is started by the event `search` of the query component, so that responses keep their
        order.
        """
        inputs = [self.query, *self.filters.all()]
        self.query.search(self.find, inputs, [self.rows, self.gallery], **UNQUEUED)
        for each in self.filters.all():
            changed = each.change if isinstance(each, gr.Textbox) else each.input
            changed(None, js="() => clipsight.searchAgain()")
        self.gallery.more(self.more, inputs, self.gallery, **UNQUEUED)
        for each in (self.gallery, self.detail):
            each.open(self.open, None, self.detail, **UNQUEUED)
        self.detail.explain(self.explain, self.query, self.detail, **UNQUEUED)
        self.detail.cancel(self.cancel, None, None, **UNQUEUED)

    # -- event handlers -----------------------------------------------------------------

    def find(self, value: object, *filters: Any) -> tuple[str, str]:
        """Values of the rows and of the gallery for the value of the query component."""
        try:
            query = QueryInput.parse(value)
            return self._rows(query), self._results(query, filters, 0)
        except ClipsightError as error:
            return json_value(rows=None), json_value(offset=0, error=self.texts.error_message(error))

    def more(self, event: gr.EventData, value: object, *filters: Any) -> str:
        """The next page of results."""
        try:
            offset = int(parse_number(event_data(event), "offset"))
            return self._results(QueryInput.parse(value), filters, offset)
        except ClipsightError as error:
            return json_value(offset=0, error=self.texts.error_message(error))

    def open(self, event: gr.EventData) -> str:
        """One photo with its metadata."""
        try:
            sent = event_data(event)
            photo = self.service.photos.details(parse_photo_id(sent))
            score = sent.get("score")
            return json_value(
                id=photo.id,
                name=photo.path.name,
                path=str(photo.path),
                score=None if score is None else round(parse_number(sent, "score"), 3),
                facts=self._facts(photo),
            )
        except ClipsightError as error:
            return json_value(error=self.texts.error_message(error))

    def explain(self, event: gr.EventData, value: object, request: gr.Request) -> Any:
        """The explanation of a photo's score; nothing if the visitor closes the photo meanwhile."""
        photo, visitor, stop = None, str(request.session_hash), threading.Event()
        self._explaining[visitor] = stop
        try:
            photo = parse_photo_id(event_data(event))
            found = self.service.explain(QueryInput.parse(value).parts, photo, stop=stop)
            return json_value(id=photo, explanation=_explanation(found))
        except Cancelled:
            return gr.skip()
        except ClipsightError as error:
            return json_value(id=photo, explanation={"error": self.texts.error_message(error)})
        finally:
            self._explaining.pop(visitor, None)

    def cancel(self, request: gr.Request) -> None:
        """Cancel the explanation that the visitor no longer waits for."""
        stop = self._explaining.get(str(request.session_hash))
        if stop is not None:
            stop.set()

    # -- values of components -------------------------------------------------------------

    def _rows(self, query: QueryInput) -> str:
        rows: list[dict[str, Any]] = [
            {"kind": "text", "text": part.text, "name": part.text, "weight": part.weight}
            for part in query.text_parts
        ]
        for (key, picture), sent in zip(query.pictures, query.value.get("pictures", []), strict=True):
            name = picture.name if isinstance(picture, UploadPart) else str(sent.get("name", picture.id))
            photo = picture.id if isinstance(picture, PhotoPart) else None
            rows.append({"kind": "picture", "key": key, "id": photo, "name": name, "weight": picture.weight})
        are_needed = len(rows) > 1 or any(row["kind"] == "picture" or row["weight"] != 1 for row in rows)
        return json_value(rows=rows if are_needed else [], revision=query.value.get("revision"))

    def _results(self, query: QueryInput, filters: Sequence[Any], offset: int) -> str:
        folder, taken_from, taken_to, labels, balance, sure, duplicates = filters
        parts: Sequence[QueryPart] = query.parts
        is_empty = not parts
        last = parse_text(taken_to or "").strip()
        try:
            matches = self.service.search(
                parts or [TextPart(_ANY_PHOTO)],
                SearchOptions(
                    top=PAGE_SIZE,
                    offset=offset,
                    balance=bool(balance),
                    sure=bool(sure) and not is_empty,
                    duplicates=bool(duplicates),
                    filters=Filters(
                        labels=tuple(parse_texts(labels or [])),
                        after=parse_text(taken_from or "").strip() or None,
                        before=end_of(last) if last else None,
                    ),
                ),
                folders=[parse_text(folder)] if folder else [],
            )
        except NoModelError:  # nothing is indexed yet; other components show that
            if is_empty:
                return json_value(offset=0, items=[], more=False, summary="", key="empty")
            raise
        key = zlib.crc32(repr((query.value, list(filters))).encode())
        return json_value(
            offset=offset,
            items=[_item(match) for match in matches],
            more=len(matches) == PAGE_SIZE,
            summary=self._summary(matches, is_empty),
            notes=list(matches.notes),
            scores=not is_empty,
            key=key,
        )

    def _summary(self, matches: Matches, is_empty: bool) -> str:
        if not matches:
            return "" if is_empty else self.texts.no_results
        if is_empty:
            return self.texts.some_photos
        if len(matches) == PAGE_SIZE:
            return self.texts.best_first
        if len(matches) == 1:
            return self.texts.one_result
        return self.texts.result_count.format(count=f"{len(matches):,}")

    def _facts(self, photo: Any) -> list[tuple[str, str]]:
        texts = self.texts
        taken = (photo.taken or "").replace("T", " ")[:16]
        if taken and photo.taken_source == "mtime":
            taken = texts.file_date.format(date=taken)
        pixels = f"{photo.width:,} × {photo.height:,}" if photo.width and photo.height else ""
        facts = [
            (texts.taken, taken),
            (texts.pixels, pixels),
            (texts.size, file_size(photo.size)),
            (texts.format, photo.format or ""),
            (texts.camera, photo.camera or ""),
            (texts.labels, ", ".join(photo.labels)),
        ]
        return [(name, value) for name, value in facts if value]


def file_size(size: float) -> str:
    """A number of bytes with its unit: "900 B", "1.5 MB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit in ("B", "kB") or size >= 100 else f"{size:.1f} {unit}"


def _item(match: Match) -> dict[str, Any]:
    shape = match.width / match.height if match.width and match.height else 1.5
    return {
        "id": match.id,
        "name": match.path.name,
        "score": round(match.score, 3),
        "shape": round(min(max(shape, 0.4), 3.0), 3),
    }


def _explanation(explanation: "Explanation") -> dict[str, Any]:
    """Bars for the parts and words, relative to the largest (1 or -1); and the heat map."""
    bars: list[tuple[str, float, bool]] = []
    has_parts = len(explanation.parts) > 1
    for part in explanation.parts:
        if has_parts:
            bars.append((part.part, part.share, False))
        if not has_parts or len(part.words) > 1:
            bars += [(word.word, word.contribution, has_parts) for word in part.words]
    largest = max((abs(value) for _, value, _ in bars), default=0.0) or 1.0
    return {
        "bars": [
            {"name": name, "value": f"{value:+.3f}", "share": round(value / largest, 3), "inner": inner}
            for name, value, inner in bars
        ],
        "heat": None if explanation.region is None else _heat_png(explanation),
        "seen": [round(side, 4) for side in explanation.seen],
        "notes": list(explanation.notes),
    }


def _heat_png(explanation: "Explanation") -> str:
    """The heat map as a data: URL of a PNG, which the browser scales and blends with the photo."""
    import numpy as np
    from PIL import Image

    from clipsight.render.colors import heat_palette
    from clipsight.render.explanations.overlay import max_heat

    assert explanation.region is not None
    levels = explanation.region.heat / (max_heat(explanation) or 1.0)
    pixels = heat_palette()[(levels.clip(0, 1) * 255).round().astype(np.uint8)]
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
