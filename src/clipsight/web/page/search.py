"""The Search tab: the box, its parts, filters, the photos found, and one photo from near."""

import threading
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from clipsight.core.dates import end_of
from clipsight.core.errors import ClipsightError
from clipsight.models.encoder import Cancelled
from clipsight.search.options import SearchOptions
from clipsight.search.results import Match, Matches
from clipsight.store.filters import Filters
from clipsight.web.page.asked import Asked, event, identity, number, text_of, texts_of
from clipsight.web.page.piece import QUIETLY, piece, say
from clipsight.web.page.problems import told
from clipsight.web.page.reasons import reasons
from clipsight.web.page.texts import Texts
from clipsight.web.service.errors import NoModelError
from clipsight.web.service.query_parts import PhotoPart, QueryPart, TextPart, UploadPart
from clipsight.web.service.service import Service

PAGE = 60
"""Photos shown at first, and more each time the end of the page comes near."""

_ANY_PHOTO = "photo"
"""What is searched for while nothing is asked for: some of the photos, to begin with."""


@dataclass(frozen=True)
class FilterInputs:
    """The filters' components, in the order in which they are given to `find`."""

    folder: Any
    taken_from: Any
    taken_to: Any
    labels: Any
    balance: Any
    sure: Any

    def all(self) -> list[Any]:
        return [self.folder, self.taken_from, self.taken_to, self.labels, self.balance, self.sure]


class Search:
    """The tab's components, made inside a `gr.Blocks`, and what they do."""

    def __init__(self, service: Service, texts: Texts) -> None:
        self.service, self.texts = service, texts
        self.ask = piece("ask", texts, events=("ask",))
        self.rows = piece("rows", texts)
        self.filters = self._filters()
        self.gallery = piece("gallery", texts, events=("more", "open"))
        self.detail = piece("detail", texts, events=("open", "explain", "leave", "collect"))
        self._explaining: dict[str, threading.Event] = {}

    def _filters(self) -> FilterInputs:
        texts = self.texts
        with gr.Accordion(texts.filters, open=False, elem_id="cs-filters"):
            with gr.Row():
                folder = gr.Dropdown([(texts.all_folders, "")], value="", label=texts.folder, min_width=220)
                labels = gr.Dropdown([], value=[], label=texts.with_label, multiselect=True, min_width=220)
                taken_from = gr.Textbox(label=texts.date_from, placeholder=texts.date_example, min_width=140)
                taken_to = gr.Textbox(label=texts.date_to, placeholder=texts.date_example, min_width=140)
            with gr.Row():
                balance = gr.Checkbox(True, label=texts.balance, info=texts.balance_info, min_width=260)
                sure = gr.Checkbox(False, label=texts.sure, info=texts.sure_info, min_width=260)
        return FilterInputs(folder, taken_from, taken_to, labels, balance, sure)

    def connect(self) -> None:
        """Tell the components what to do.

        Whatever asks for a search in the browser does so by `ask`, so that no answer overtakes a later one.
        """
        asked = [self.ask, *self.filters.all()]
        self.ask.ask(self.find, asked, [self.rows, self.gallery], **QUIETLY)
        for each in self.filters.all():
            changed = each.change if isinstance(each, gr.Textbox) else each.input
            changed(None, js="() => clipsight.askAgain()")
        self.gallery.more(self.more, asked, self.gallery, **QUIETLY)
        for each in (self.gallery, self.detail):
            each.open(self.open, None, self.detail, **QUIETLY)
        self.detail.explain(self.explain, self.ask, self.detail, **QUIETLY)
        self.detail.leave(self.leave, None, None, **QUIETLY)

    # -- what the browser asks for ------------------------------------------------------

    def find(self, box: object, *filters: Any) -> tuple[str, str]:
        """The rows and the first photos for what is in the box."""
        try:
            asked = Asked.read(box)
            return self._rows(asked), self._photos(asked, filters, 0)
        except ClipsightError as error:
            return say(rows=None), say(offset=0, error=told(error, self.texts))

    def more(self, data: gr.EventData, box: object, *filters: Any) -> str:
        """The photos after those that are shown."""
        try:
            offset = int(number(event(data), "offset"))
            return self._photos(Asked.read(box), filters, offset)
        except ClipsightError as error:
            return say(offset=0, error=told(error, self.texts))

    def open(self, data: gr.EventData) -> str:
        """One photo with all that is known of it."""
        try:
            sent = event(data)
            photo = self.service.photo(identity(sent))
            score = sent.get("score")
            return say(
                id=photo.id,
                name=photo.path.name,
                path=str(photo.path),
                score=None if score is None else round(number(sent, "score"), 3),
                facts=self._facts(photo),
            )
        except ClipsightError as error:
            return say(error=told(error, self.texts))

    def explain(self, data: gr.EventData, box: object, request: gr.Request) -> Any:
        """Why a photo has its score; nothing if the visitor leaves the photo meanwhile."""
        photo, visitor, left = None, str(request.session_hash), threading.Event()
        self._explaining[visitor] = left
        try:
            photo = identity(event(data))
            found = self.service.explain(Asked.read(box).parts, photo, stop=left)
            return say(id=photo, reasons=reasons(found))
        except Cancelled:
            return gr.skip()
        except ClipsightError as error:
            return say(id=photo, reasons={"error": told(error, self.texts)})
        finally:
            self._explaining.pop(visitor, None)

    def leave(self, request: gr.Request) -> None:
        """End the explanation that nobody waits for any more."""
        left = self._explaining.get(str(request.session_hash))
        if left is not None:
            left.set()

    # -- answers -------------------------------------------------------------------------

    def _rows(self, asked: Asked) -> str:
        rows: list[dict[str, Any]] = [
            {"kind": "words", "text": words.text, "name": words.text, "weight": words.weight}
            for words in asked.words
        ]
        for (key, picture), sent in zip(asked.pictures, asked.sent.get("pictures", []), strict=True):
            name = picture.name if isinstance(picture, UploadPart) else str(sent.get("name", picture.id))
            photo = picture.id if isinstance(picture, PhotoPart) else None
            rows.append({"kind": "picture", "key": key, "id": photo, "name": name, "weight": picture.weight})
        needed = len(rows) > 1 or any(row["kind"] == "picture" or row["weight"] != 1 for row in rows)
        return say(rows=rows if needed else [], turn=asked.sent.get("turn"))

    def _photos(self, asked: Asked, filters: Sequence[Any], offset: int) -> str:
        folder, taken_from, taken_to, labels, balance, sure = filters
        parts: Sequence[QueryPart] = asked.parts
        browsing = not parts
        started = time.perf_counter()
        last = text_of(taken_to or "").strip()
        try:
            matches = self.service.search(
                parts or [TextPart(_ANY_PHOTO)],
                SearchOptions(
                    top=PAGE,
                    offset=offset,
                    balance=bool(balance),
                    sure=bool(sure) and not browsing,
                    filters=Filters(
                        labels=tuple(texts_of(labels or [])),
                        after=text_of(taken_from or "").strip() or None,
                        before=end_of(last) if last else None,
                    ),
                ),
                folders=[text_of(folder)] if folder else [],
            )
        except NoModelError:  # nothing indexed yet, which the page says elsewhere
            if browsing:
                return say(offset=0, items=[], more=False, summary="", key="empty")
            raise
        key = zlib.crc32(repr((asked.sent, list(filters))).encode())
        return say(
            offset=offset,
            items=[_item(match) for match in matches],
            more=len(matches) == PAGE,
            summary=self._summary(matches, browsing, time.perf_counter() - started),
            notes=list(matches.notes),
            scores=not browsing,
            key=key,
        )

    def _summary(self, matches: Matches, browsing: bool, seconds: float) -> str:
        if not matches:
            return "" if browsing else self.texts.found_none
        if browsing:
            return self.texts.browse
        if len(matches) == PAGE:
            return self.texts.best
        if len(matches) == 1:
            return self.texts.found_one
        return self.texts.found.format(count=f"{len(matches):,}")

    def _facts(self, photo: Any) -> list[tuple[str, str]]:
        texts = self.texts
        taken = (photo.taken or "").replace("T", " ")[:16]
        if taken and photo.taken_source != "exif":
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


def _item(match: Match) -> dict[str, Any]:
    shape = match.width / match.height if match.width and match.height else 1.5
    return {
        "id": match.id,
        "name": match.path.name,
        "score": round(match.score, 3),
        "shape": round(min(max(shape, 0.4), 3.0), 3),
    }


def file_size(count: int) -> str:
    """Bytes as a person reads them."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if unit in ("B", "kB") or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError
