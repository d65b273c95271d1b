"""The Classify tab: photos and labels in, a table of probabilities out."""

from typing import Any

import gradio as gr

from clipsight.classification.predictions import Prediction
from clipsight.classification.zero_shot import Classification
from clipsight.core.errors import ClipsightError
from clipsight.render.heatmap import Grid
from clipsight.render.predictions import PredictionTally, csv_text, failure_notes
from clipsight.web.page.components import UNQUEUED, json_value, script_component
from clipsight.web.page.parsing import event_data, parse_json, parse_photo_id, parse_pictures, parse_texts
from clipsight.web.page.texts import Texts
from clipsight.web.service.service import Service

MAX_ROWS = 200
"""Photos shown in the table; the CSV has all of them."""


class Classify:
    """The components of the tab, created inside a `gr.Blocks`, and their event handlers."""

    def __init__(self, service: Service, texts: Texts) -> None:
        self.service, self.texts = service, texts
        self.form = script_component("form", texts)
        with gr.Row(equal_height=True):
            choices = [
                (texts.template_plain, "plain"),
                (texts.template_simple, "simple"),
                (texts.template_imagenet, "imagenet"),
            ]
            self.templates = gr.Dropdown(choices, value="plain", label=texts.template_choice, min_width=240)
            self.unknown = gr.Checkbox(False, label=texts.unknown, info=texts.unknown_info, min_width=240)
        self.run = gr.Button(texts.classify_button, variant="primary", elem_id="cs-run")
        self.table = script_component("table", texts)

    def connect(self, detail: Any) -> None:
        """Connect the events; `detail` is the component of a single photo, which can add it to the form."""
        self.run.click(
            self.classify,
            [self.form, self.templates, self.unknown],
            self.table,
            **UNQUEUED | {"show_progress": "full", "trigger_mode": "once"},
        )
        detail.classify(self.add_photo, self.form, self.form, **UNQUEUED)

    def classify(self, form: object, templates: str, unknown: bool) -> str:
        """Value of the table, with the same predictions as CSV."""
        try:
            sent = parse_json(form or "{}")
            if not isinstance(sent, dict) or not sent.get("photos"):
                return json_value(error=self.texts.need_photos)
            labels = parse_texts(sent.get("labels", []))
            if len(labels) < 2:
                return json_value(error=self.texts.need_labels)
            photos, pictures = parse_pictures(sent["photos"])
            result = self.service.classify(
                labels, photos=photos, pictures=pictures, templates=templates, unknown=bool(unknown)
            )
            return self._table(result)
        except ClipsightError as error:
            return json_value(error=self.texts.error_message(error))

    def add_photo(self, form: object, event: gr.EventData) -> str:
        """Value of the form with the photo of the event added."""
        try:
            photo = self.service.photos.details(parse_photo_id(event_data(event)))
            sent = parse_json(form or "{}")
            photos = sent.get("photos", []) if isinstance(sent, dict) else []
            labels = sent.get("labels", []) if isinstance(sent, dict) else []
            added = {"id": photo.id, "name": photo.path.name}
            return json_value(photos=[*(each for each in photos if each != added), added], labels=labels)
        except ClipsightError:
            return str(form or "")

    def _table(self, result: Classification) -> str:
        tally = PredictionTally(result, keep=MAX_ROWS)
        csv = "".join(csv_text(tally))
        grid = Grid.of(result.labels, None)
        return json_value(
            heading=list(grid.header),
            named=bool(grid.ranked),
            rows=[_row(grid, prediction) for prediction in tally.first],
            csv=csv,
            notes=[*result.notes, *failure_notes(tally.failures)],
        )


def _row(grid: Grid, prediction: Prediction) -> dict[str, Any]:
    cells = [
        {"label": cell.label, "probability": round(cell.probability, 4), "best": cell.best}
        for cell in grid.cells(prediction)
    ]
    return {"id": prediction.id, "name": prediction.path.name, "cells": cells}
