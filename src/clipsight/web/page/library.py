"""The Library tab and the welcome screen: folders, indexing and its progress, models, failures."""

from typing import Any

import gradio as gr

from clipsight.core.errors import ClipsightError
from clipsight.web.page.components import UNQUEUED, json_value, script_component
from clipsight.web.page.parsing import event_data, parse_text
from clipsight.web.page.search import file_size
from clipsight.web.page.texts import Texts
from clipsight.web.service.payloads import Folder, Job
from clipsight.web.service.service import Service

_MAX_FAILURES = 100


class Library:
    """The components of the tab, created inside a `gr.Blocks`, and their event handlers.

    `progress` is shown above all tabs; `welcome` replaces the search box while the library is empty.
    """

    def __init__(self, service: Service, texts: Texts) -> None:
        self.service, self.texts = service, texts
        self.progress = script_component("progress", texts, events=("stop", "refresh"))
        self.timer = gr.Timer(1.0, active=False)

    def create_welcome(self) -> None:
        """Create the component that is shown instead of the search box while the library is empty."""
        self.welcome = script_component("chooser", self.texts, name="welcome", events=("browse", "start"))

    def create_tab(self) -> None:
        """Create the components of the tab itself."""
        texts = self.texts
        self.overview = script_component("library", texts, events=("update", "retry"))
        gr.HTML(f"<h2>{texts.add_folder}</h2>", padding=False, elem_classes=["cs", "cs-heading"])
        self.chooser = script_component("chooser", texts, name="chooser", events=("browse", "start"))
        with gr.Accordion(texts.switch_to, open=False, elem_id="cs-models"):
            gr.Markdown(texts.switch_info)
            with gr.Row():
                self.models = gr.Dropdown([], label=texts.model, min_width=260)
                self.switch = gr.Button(texts.switch, min_width=120, scale=0, elem_id="cs-switch")

    def connect(self) -> None:
        """Connect the events."""
        running = [self.progress, self.timer]
        self.timer.tick(self.follow, None, running, **UNQUEUED)
        self.progress.stop(self.stop, None, running, **UNQUEUED)
        for chooser in (self.welcome, self.chooser):
            chooser.browse(self.browse, None, chooser, **UNQUEUED)
            chooser.start(self.start, None, running, **UNQUEUED)
        self.overview.update(self.start, None, running, **UNQUEUED)
        self.overview.retry(self.retry, None, running, **UNQUEUED)
        self.switch.click(self.switch_model, self.models, running, **UNQUEUED)

    # -- event handlers -------------------------------------------------------------------

    def start(self, event: gr.EventData) -> tuple[str, Any]:
        """Index the folder whose id was sent, or all indexed folders again."""
        try:
            folder = event_data(event).get("id")
            self.service.indexing.start([parse_text(folder)] if folder else [])
        except ClipsightError as error:
            return self._failed(error)
        return self.follow()

    def retry(self) -> tuple[str, Any]:
        """Try the files again that could not be read."""
        try:
            self.service.indexing.start(retry=True)
        except ClipsightError as error:
            return self._failed(error)
        return self.follow()

    def switch_model(self, name: object) -> tuple[str, Any]:
        """Start switching to another model."""
        try:
            self.service.indexing.start(model=parse_text(name))
        except ClipsightError as error:
            return self._failed(error)
        return self.follow()

    def stop(self, event: gr.EventData) -> tuple[str, Any]:
        """Stop a run."""
        try:
            self.service.indexing.stop(parse_text(event_data(event).get("id")))
        except ClipsightError as error:
            return self._failed(error)
        return self.follow()

    def follow(self) -> tuple[str, Any]:
        """Progress of the latest run, and a timer that is active while it is running."""
        jobs = self.service.indexing.all()
        if not jobs:
            return json_value(state="none"), gr.Timer(active=False)
        return self._progress(jobs[0]), gr.Timer(active=jobs[0].running)

    def browse(self, event: gr.EventData) -> str:
        """The subfolders of the last folder of the trail that was sent."""
        try:
            sent = event_data(event).get("trail")
            trail = [
                {"id": parse_text(each.get("id")), "name": parse_text(each.get("name"))}
                for each in (sent if isinstance(sent, list) else [])
                if isinstance(each, dict)
            ]
            return self.folders_in(trail)
        except ClipsightError as error:
            return json_value(trail=[], folders=[], error=self.texts.error_message(error))

    # -- values of components ---------------------------------------------------------------

    def folders_in(self, trail: list[dict[str, str]]) -> str:
        """Value of the chooser; a single root is opened at once."""
        roots = self.service.folders.roots
        if not trail and len(roots) == 1:
            trail = [{"id": roots[0].id, "name": roots[0].name}]
        found = self.service.folders.children(trail[-1]["id"]) if trail else roots
        return json_value(
            trail=trail,
            one=len(roots) == 1,
            folders=[{"id": folder.id, "name": folder.name} for folder in found],
            none="" if roots else self.texts.no_roots,
        )

    def summary(self) -> str:
        """Value of the overview."""
        texts, status = self.texts, self.service.library.status()
        photos = status.counts.present + status.counts.unreachable
        upcoming = status.next_model and texts.switching_model.format(
            model=status.next_model, count=f"{status.to_embed:,}"
        )
        return json_value(
            model=status.model or texts.no_model,
            next=upcoming or "",
            total=texts.library_total.format(photos=f"{photos:,}", bytes=file_size(status.bytes)),
            folders=[self._folder(folder) for folder in self.service.library.folders()],
            failures=[
                {"path": str(failed.path), "reason": failed.reason}
                for failed in self.service.library.failures(limit=_MAX_FAILURES)
            ],
            failed=len(status.failures),
        )

    def model_choices(self) -> list[tuple[str, str]]:
        """The usable models, with their download size where they are not on disk."""
        choices = []
        for model in self.service.library.models():
            if model.problem is None:
                size = "" if model.on_disk or not model.size_bytes else file_size(model.size_bytes)
                download = f" ({self.texts.to_download.format(size=size)})" if size else ""
                choices.append((model.name + download, model.name))
        return choices

    def _folder(self, folder: Folder) -> dict[str, Any]:
        return {
            "id": folder.id,
            "name": folder.name,
            "path": str(folder.path),
            "photos": f"{folder.photos or 0:,}",
            "indexed": (folder.indexed or "").replace("T", " ")[:16] or self.texts.not_indexed_yet,
            "unreachable": self.texts.unreachable.format(count=f"{folder.unreachable:,}")
            if folder.unreachable
            else "",
        }

    def _progress(self, job: Job) -> str:
        texts, counts = self.texts, self.service.library.status().counts
        photos = f"{counts.present + counts.unreachable:,}"
        match job.state:
            case "running" if job.total is None:
                line = texts.scanning.format(scanned=f"{job.scanned:,}")
            case "running":
                line = texts.progress.format(done=f"{job.done:,}", total=f"{job.total:,}")
            case "done":
                line = texts.done.format(photos=photos)
            case "stopped":
                line = texts.stopped.format(photos=photos)
            case "failed":
                line = texts.failed.format(error=job.error or "")
        unread = texts.unread_files.format(failed=f"{job.failed:,}") if job.failed else ""
        return json_value(
            id=job.id,
            state=job.state,
            what=job.what,
            line=line,
            more=[*([unread] if unread else []), *job.notes],
            done=job.done,
            total=job.total,
            embedded=job.embedded,
        )

    def _failed(self, error: ClipsightError) -> tuple[str, Any]:
        message = self.texts.error_message(error)
        return json_value(state="failed", id="", line=message, more=[]), gr.Timer()
