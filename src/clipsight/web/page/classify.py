"""The Classify tab: photos and labels in, a table of probabilities out. Called by `blocks`."""

from typing import Any

import gradio as gr

from clipsight.classification.zero_shot import Classification, Prediction
from clipsight.core.errors import ClipsightError
from clipsight.render.heatmap import Grid
from clipsight.render.predictions import Seen, csv_text, failure_notes
from clipsight.web.page.asked import event, identity, json_of, pictures_of, texts_of
from clipsight.web.page.piece import QUIETLY, piece, say
from clipsight.web.page.problems import told
from clipsight.web.page.texts import Texts
from clipsight.web.service.service import Service

ROWS = 200
"""Photos shown in the table; the CSV has them all."""


class Classify:
    """The tab's components, made inside a `gr.Blocks`, and what they do."""

    def __init__(self, service: Service, texts: Texts) -> None:
        self.service, self.texts = service, texts
        self.form = piece("form", texts, events=("ready",))
        with gr.Row(equal_height=True):
            choices = [
                (texts.template_plain, "plain"),
                (texts.template_simple, "simple"),
                (texts.template_imagenet, "imagenet"),
            ]
            self.templates = gr.Dropdown(choices, value="plain", label=texts.templates, min_width=240)
            self.unknown = gr.Checkbox(False, label=texts.unknown, info=texts.unknown_info, min_width=240)
        self.run = gr.Button(texts.run, variant="primary", elem_id="cs-run")
        self.table = piece("table", texts)

    def connect(self, detail: Any) -> None:
        """`detail` is the piece that shows one photo: it can add that photo to those classified here."""
        self.run.click(
            self.classify,
            [self.form, self.templates, self.unknown],
            self.table,
            **QUIETLY | {"show_progress": "full", "trigger_mode": "once"},
        )
        detail.collect(self.collect, self.form, self.form, **QUIETLY)

    def classify(self, form: object, templates: str, unknown: bool) -> str:
        """The table, and the same as CSV."""
        try:
            sent = json_of(form or "{}")
            if not isinstance(sent, dict) or not sent.get("photos"):
                return say(error=self.texts.need_photos)
            labels = texts_of(sent.get("labels", []))
            if len(labels) < 2:
                return say(error=self.texts.need_labels)
            photos, pictures = pictures_of(sent["photos"])
            result = self.service.classify(
                labels, photos=photos, pictures=pictures, templates=templates, unknown=bool(unknown)
            )
            return self._table(result)
        except ClipsightError as error:
            return say(error=told(error, self.texts))

    def collect(self, form: object, data: gr.EventData) -> str:
        """The form with one photo more."""
        try:
            photo = self.service.photo(identity(event(data)))
            sent = json_of(form or "{}")
            photos = sent.get("photos", []) if isinstance(sent, dict) else []
            labels = sent.get("labels", []) if isinstance(sent, dict) else []
            added = {"id": photo.id, "name": photo.path.name}
            return say(photos=[*(each for each in photos if each != added), added], labels=labels)
        except ClipsightError:
            return str(form or "")

    def _table(self, result: Classification) -> str:
        seen = Seen(result, keep=ROWS)
        csv = "".join(csv_text(seen))
        grid = Grid.of(result.labels, None)
        return say(
            heading=list(grid.heading),
            named=bool(grid.ranked),
            rows=[_row(grid, prediction) for prediction in seen.first],
            csv=csv,
            notes=[*result.notes, *failure_notes(seen.failures)],
        )


def _row(grid: Grid, prediction: Prediction) -> dict[str, Any]:
    cells = [
        {"label": cell.label, "probability": round(cell.probability, 4), "best": cell.best}
        for cell in grid.cells(prediction)
    ]
    return {"id": prediction.id, "name": prediction.path.name, "cells": cells}
