"""The Library tab and the first run: folders, indexing and its progress, the model, failures."""

from typing import Any

import gradio as gr

from clipsight.core.errors import ClipsightError
from clipsight.web.page.asked import event, text_of
from clipsight.web.page.piece import QUIETLY, piece, say
from clipsight.web.page.problems import told
from clipsight.web.page.search import file_size
from clipsight.web.page.texts import Texts
from clipsight.web.service.payloads import Folder, Job
from clipsight.web.service.service import Service

_FAILURES = 100


class Library:
    """The tab's components, made inside a `gr.Blocks`, and what they do.

    `progress` belongs above all tabs, and `welcome` takes the place of searching while there is no photo.
    """

    def __init__(self, service: Service, texts: Texts) -> None:
        self.service, self.texts = service, texts
        self.progress = piece("progress", texts, events=("stop", "grown"))
        self.timer = gr.Timer(1.0, active=False)

    def greet(self) -> None:
        """Make what is shown instead of the search box while the library is empty."""
        self.welcome = piece("chooser", self.texts, name="welcome", events=("browse", "start"))

    def tab(self) -> None:
        """Make the tab itself."""
        texts = self.texts
        self.overview = piece("library", texts, events=("again", "retry"))
        gr.HTML(f"<h2>{texts.add_folder}</h2>", padding=False, elem_classes=["cs", "cs-heading"])
        self.chooser = piece("chooser", texts, name="chooser", events=("browse", "start"))
        with gr.Accordion(texts.switch_to, open=False, elem_id="cs-models"):
            gr.Markdown(texts.switch_info)
            with gr.Row():
                self.models = gr.Dropdown([], label=texts.model, min_width=260)
                self.switch = gr.Button(texts.switch, min_width=120, scale=0, elem_id="cs-switch")

    def connect(self) -> None:
        """Tell the components what to do."""
        running = [self.progress, self.timer]
        self.timer.tick(self.follow, None, running, **QUIETLY)
        self.progress.stop(self.stop, None, running, **QUIETLY)
        for chooser in (self.welcome, self.chooser):
            chooser.browse(self.browse, None, chooser, **QUIETLY)
            chooser.start(self.start, None, running, **QUIETLY)
        self.overview.again(self.start, None, running, **QUIETLY)
        self.overview.retry(self.retry, None, running, **QUIETLY)
        self.switch.click(self.switch_model, self.models, running, **QUIETLY)

    # -- what the browser asks for ------------------------------------------------------

    def start(self, data: gr.EventData) -> tuple[str, Any]:
        """Index the folder with the id that was sent; all that were indexed before, if none was."""
        try:
            folder = event(data).get("id")
            self.service.start_index([text_of(folder)] if folder else [])
        except ClipsightError as error:
            return self._refused(error)
        return self.follow()

    def retry(self) -> tuple[str, Any]:
        """Try the files again that could not be read."""
        try:
            self.service.start_index(retry=True)
        except ClipsightError as error:
            return self._refused(error)
        return self.follow()

    def switch_model(self, name: object) -> tuple[str, Any]:
        """Begin to use another model."""
        try:
            self.service.switch_model(text_of(name))
        except ClipsightError as error:
            return self._refused(error)
        return self.follow()

    def stop(self, data: gr.EventData) -> tuple[str, Any]:
        """Stop a run."""
        try:
            self.service.stop_job(text_of(event(data).get("id")))
        except ClipsightError as error:
            return self._refused(error)
        return self.follow()

    def follow(self) -> tuple[str, Any]:
        """How far the latest run is, and whether to ask again in a second."""
        jobs = self.service.jobs()
        if not jobs:
            return say(state="none"), gr.Timer(active=False)
        return self._progress(jobs[0]), gr.Timer(active=jobs[0].running)

    def browse(self, data: gr.EventData) -> str:
        """The folders in the last one of the trail that was sent."""
        try:
            trail = event(data).get("trail")
            places = [
                {"id": text_of(each.get("id")), "name": text_of(each.get("name"))}
                for each in (trail if isinstance(trail, list) else [])
                if isinstance(each, dict)
            ]
            return self.folders_in(places)
        except ClipsightError as error:
            return say(trail=[], folders=[], error=told(error, self.texts))

    # -- answers ---------------------------------------------------------------------------

    def folders_in(self, trail: list[dict[str, str]]) -> str:
        """The chooser's value; a single root is opened at once."""
        roots = self.service.roots()
        if not trail and len(roots) == 1:
            trail = [{"id": roots[0].id, "name": roots[0].name}]
        found = self.service.subfolders(trail[-1]["id"]) if trail else roots
        return say(
            trail=trail,
            one=len(roots) == 1,
            folders=[{"id": folder.id, "name": folder.name} for folder in found],
            none="" if roots else self.texts.no_roots,
        )

    def summary(self) -> str:
        """The overview's value."""
        texts, status = self.texts, self.service.status()
        photos = status.counts.present + status.counts.unreachable
        upcoming = status.next_model and texts.next_model.format(
            model=status.next_model, count=f"{status.to_embed:,}"
        )
        return say(
            model=status.model or texts.no_model,
            next=upcoming or "",
            total=texts.in_all.format(photos=f"{photos:,}", bytes=file_size(status.bytes)),
            folders=[self._folder(folder) for folder in self.service.folders()],
            failures=[
                {"path": str(failed.path), "reason": failed.reason}
                for failed in self.service.failures(limit=_FAILURES)
            ],
            failed=len(status.failures),
        )

    def model_choices(self) -> list[tuple[str, str]]:
        """The models to switch to, with what they cost to get."""
        choices = []
        for model in self.service.models():
            if model.problem is None:
                size = "" if model.on_disk or not model.size_bytes else file_size(model.size_bytes)
                more = f" ({self.texts.to_download.format(size=size)})" if size else ""
                choices.append((model.name + more, model.name))
        return choices

    def _folder(self, folder: Folder) -> dict[str, Any]:
        return {
            "id": folder.id,
            "name": folder.name,
            "path": str(folder.path),
            "photos": f"{folder.photos or 0:,}",
            "indexed": (folder.indexed or "").replace("T", " ")[:16] or self.texts.never,
            "unreachable": self.texts.unreachable.format(count=f"{folder.unreachable:,}")
            if folder.unreachable
            else "",
        }

    def _progress(self, job: Job) -> str:
        texts, counts = self.texts, self.service.status().counts
        photos = f"{counts.present + counts.unreachable:,}"
        match job.state:
            case "running" if job.total is None:
                line = texts.walking.format(scanned=f"{job.scanned:,}")
            case "running":
                line = texts.progress.format(done=f"{job.done:,}", total=f"{job.total:,}")
            case "done":
                line = texts.done.format(photos=photos)
            case "stopped":
                line = texts.stopped.format(photos=photos)
            case "failed":
                line = texts.failed.format(error=job.error or "")
        unread = texts.unread.format(failed=f"{job.failed:,}") if job.failed else ""
        return say(
            id=job.id,
            state=job.state,
            what=job.what,
            line=line,
            more=[*([unread] if unread else []), *job.notes],
            done=job.done,
            total=job.total,
            embedded=job.embedded,
        )

    def _refused(self, error: ClipsightError) -> tuple[str, Any]:
        return say(state="failed", id="", line=told(error, self.texts), more=[]), gr.Timer()
