"""The HTTP API: what `service` offers, as JSON. `docs/serve.md` shows it in use. Called by `app`."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as InPath
from fastapi.responses import PlainTextResponse, StreamingResponse

from clipsight.classify import best_labels
from clipsight.console import Format
from clipsight.web.answers import Job, PhotoFile
from clipsight.web.calls import Calls
from clipsight.web.errors import NotFoundError
from clipsight.web.metrics import Metrics, resident_bytes
from clipsight.web.parts import parse_words
from clipsight.web.printed import printed
from clipsight.web.schemas import (
    Alive,
    ClassifyAnswer,
    ClassifyRequest,
    Date,
    EmbedAnswer,
    EmbedRequest,
    ExplainAnswer,
    ExplainRequest,
    FailureAnswer,
    FolderAnswer,
    FolderId,
    HealthAnswer,
    IndexRequest,
    JobAnswer,
    Label,
    LabelAnswer,
    ModelAnswer,
    Offset,
    OpenAIAnswer,
    OpenAIRequest,
    PhotoAnswer,
    PhotoId,
    SearchAnswer,
    SearchRequest,
    Sort,
    StatusAnswer,
    Text,
    Top,
)
from clipsight.web.service import THUMBNAIL_SIZES, Service

_TELL_SECONDS = 0.25
"""How often a run's progress is looked at for its listeners."""

_Responses = dict[int | str, dict[str, Any]]
_DETAIL = {"type": "object", "required": ["detail"], "properties": {"detail": {"type": "string"}}}
_PROBLEMS: _Responses = {
    status: {
        "description": f"{what} `detail` says more.",
        "content": {"application/json": {"schema": _DETAIL}},
    }
    for status, what in (
        (400, "It can't be done as asked."),
        (401, "The token is missing or wrong."),
        (403, "A page of another site asks."),
        (404, "There is no such photo, folder or run (any more)."),
        (409, "Not now: nothing is indexed yet, or indexing is under way."),
        (413, "The request is too large."),
        (421, "The server does not go by this name."),
        (422, "The request is not as described here."),
    )
}
_JPEG: _Responses = {200: {"content": {"image/jpeg": {}}, "description": "A picture."}}

JobId = Annotated[str, InPath(max_length=64)]


def routes(service: Service, calls: Calls, metrics: Metrics) -> APIRouter:
    """All endpoints."""
    router = APIRouter(responses=_PROBLEMS)
    v1 = APIRouter(prefix="/api/v1")
    _add_search(v1, service, calls)
    _add_photos(v1, service, calls)
    _add_library(v1, service, calls)
    _add_indexing(v1, service, calls)
    _add_embeddings(v1, router, service, calls)
    _add_state(v1, router, service, calls, metrics)
    router.include_router(v1)
    return router


def _add_search(v1: APIRouter, service: Service, calls: Calls) -> None:
    async def search(request: Request, asked: SearchRequest) -> dict[str, Any]:
        options = asked.model_dump(exclude={"query", "parts"})
        found = await calls.until_gone(
            request, lambda gone: service.search(asked.asked(), stop=gone, **options)
        )
        matches = [{**match.to_dict(), "path": _shown(match.path)} for match in found]
        return {"query": found.query, "model": found.model, "matches": matches, "notes": found.notes}

    @v1.get("/search", response_model=SearchAnswer, tags=["search"])
    async def search_words(
        request: Request,
        q: Annotated[Text, Query(description='Words by the grammar: "flower + 2:bee - cartoon".')],
        top: Top = 10,
        offset: Offset = 0,
        folder: Annotated[list[FolderId], Query(max_length=100)] = [],  # noqa: B006 - FastAPI copies it
        label: Annotated[list[Label], Query(max_length=100)] = [],  # noqa: B006
        taken_from: Date | None = None,
        taken_to: Date | None = None,
        min_score: Annotated[float | None, Query(allow_inf_nan=False)] = None,
        sort: Sort = "score",
        sure: bool = False,
        exact: bool = False,
    ) -> dict[str, Any]:
        """Find photos by words."""
        asked = SearchRequest(
            query=q,
            top=top,
            offset=offset,
            folders=folder,
            labels=label,
            taken_from=taken_from,
            taken_to=taken_to,
            min_score=min_score,
            sort=sort,
            sure=sure,
            exact=exact,
        )
        return await search(request, asked)

    @v1.post("/search", response_model=SearchAnswer, tags=["search"])
    async def search_parts(request: Request, body: SearchRequest) -> dict[str, Any]:
        """Find photos by words, by photos of the library, by uploaded pictures, or by several of them."""
        return await search(request, body)

    @v1.get("/search/printed", response_class=PlainTextResponse, tags=["search"])
    async def search_printed(
        request: Request,
        q: Text,
        add: Annotated[list[Text], Query(max_length=32)] = [],  # noqa: B006
        subtract: Annotated[list[Text], Query(max_length=32)] = [],  # noqa: B006
        top: Top = 10,
        offset: Offset = 0,
        label: Annotated[list[Label], Query(max_length=100)] = [],  # noqa: B006
        min_score: Annotated[float | None, Query(allow_inf_nan=False)] = None,
        sort: Sort = "score",
        balance: bool = True,
        sure: bool = False,
        exact: bool = False,
        form: Format = Format.TABLE,
        width: Annotated[int, Query(ge=20, le=1000)] = 200,
        colour: bool = False,
    ) -> Response:
        """What `clipsight search` prints: notes, a line each, an empty line, and the result."""

        def work(gone: Any) -> bytes:
            found = service.search(
                [*parse_words(q, add=add, subtract=subtract)],
                top,
                offset=offset,
                labels=label,
                min_score=min_score,
                sort=sort,
                balance=balance,
                sure=sure,
                exact=exact,
                stop=gone,
            )
            return printed(found, form, width=width, colour=colour)

        return PlainTextResponse(await calls.until_gone(request, work))

    @v1.post("/classify", response_model=ClassifyAnswer, tags=["classify"])
    async def classify(request: Request, body: ClassifyRequest) -> dict[str, Any]:
        """Which of some labels fits each photo best."""
        return await calls.until_gone(request, lambda gone: _classify(service, body, gone))

    @v1.post("/explain", response_model=ExplainAnswer, tags=["explain"])
    async def explain(request: Request, body: ExplainRequest) -> dict[str, Any]:
        """Which words of a query, and which places of a photo, made its score."""
        photo = body.picture.part() if body.picture is not None else body.photo
        assert photo is not None
        found = await calls.until_gone(
            request, lambda gone: service.explain(body.asked(), photo, word=body.word, stop=gone)
        )
        return {**found.to_dict(), "notes": found.notes}


def _shown(path: Path) -> str:
    """The path as JSON can hold it: names need not be UTF-8."""
    return str(path).encode(errors="backslashreplace").decode()


def _classify(service: Service, asked: ClassifyRequest, gone: Any) -> dict[str, Any]:
    result = service.classify(
        asked.labels,
        photos=asked.photos,
        pictures=[upload.part() for upload in asked.pictures],
        folders=asked.folders,
        templates=asked.templates,
        extra_templates=asked.extra_templates,
        unknown=asked.unknown,
        keep=asked.keep,
        stop=gone,
    )
    photos = []
    for chunk in result.chunks:
        best = best_labels(chunk.probabilities, asked.top) if len(chunk) else ()
        for id_, path, row, columns in zip(
            chunk.ids.tolist(), chunk.paths, chunk.probabilities, best, strict=True
        ):
            labels = [
                {"label": chunk.labels[column], "probability": round(float(row[column]), 6)}
                for column in columns
            ]
            photos.append({"id": id_, "path": _shown(path), "labels": labels})
    return {
        "model": result.model,
        "templates": result.templates.name,
        "scoring": result.classifier.scoring,
        "photos": photos,
        "notes": result.notes,
    }


def _add_photos(v1: APIRouter, service: Service, calls: Calls) -> None:
    @v1.get("/photos/{id}", response_model=PhotoAnswer, tags=["photos"])
    async def photo(
        id: PhotoId, location: Annotated[bool, Query(description="Also where it was taken.")] = False
    ) -> dict[str, Any]:
        """What the library knows of a photo."""
        found = asdict(await calls(partial(service.photo, id, location=location)))
        return {**found, "path": _shown(found["path"])}

    @v1.get("/photos/{id}/thumbnail", response_class=Response, responses=_JPEG, tags=["photos"])
    async def thumbnail(
        request: Request,
        id: PhotoId,
        size: Annotated[
            int, Query(ge=1, le=THUMBNAIL_SIZES[-1], description=f"Rounded up to one of {THUMBNAIL_SIZES}.")
        ] = 320,
    ) -> Response:
        """A small JPEG, upright, without metadata."""
        found = await calls.until_gone(request, lambda gone: service.thumbnail(id, size, stop=gone))
        headers = {"ETag": f'"{found.tag}"', "Cache-Control": "private, max-age=3600"}
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(found.data, media_type="image/jpeg", headers=headers)

    @v1.get("/photos/{id}/file", response_class=Response, responses=_JPEG, tags=["photos"])
    async def file(
        request: Request,
        id: PhotoId,
        original: Annotated[
            bool, Query(description="Byte for byte, with all it tells, such as where it was taken.")
        ] = False,
    ) -> Response:
        """The photo at full size: a JPEG without metadata, or the original file if that is asked for."""
        found = await calls.until_gone(
            request, lambda gone: service.photo_file(id, original=original, stop=gone)
        )
        return Response(found.data, media_type=found.media_type, headers=_disposition(found, original))


def _disposition(file: PhotoFile, original: bool) -> dict[str, str]:
    kind = "attachment" if original else "inline"
    return {"Content-Disposition": f"{kind}; filename*=UTF-8''{quote(file.name, safe='')}"}


def _add_library(v1: APIRouter, service: Service, calls: Calls) -> None:
    @v1.get("/status", response_model=StatusAnswer, tags=["library"])
    async def status() -> dict[str, Any]:
        """What the library holds."""
        found = await calls(service.status)
        return {
            "library": _shown(found.path),
            "model": found.model,
            "next_model": found.next_model,
            "to_embed": found.to_embed,
            "photos": found.counts.present + found.counts.unreachable,
            "unreachable": found.counts.unreachable,
            "missing": found.counts.missing,
            "bytes": found.bytes,
            "failures": len(found.failures),
        }

    @v1.get("/failures", response_model=list[FailureAnswer], tags=["library"])
    async def failures(
        offset: Annotated[int, Query(ge=0, le=2**31)] = 0, limit: Annotated[int, Query(ge=1, le=1000)] = 100
    ) -> list[dict[str, Any]]:
        """Files that could not be read as photos, with the reason."""
        found = await calls(partial(service.failures, offset, limit))
        return [{**asdict(each), "path": _shown(each.path)} for each in found]

    @v1.get("/folders", response_model=list[FolderAnswer], tags=["library"])
    async def folders() -> list[dict[str, Any]]:
        """The folders that were indexed."""
        return [{**asdict(each), "path": _shown(each.path)} for each in await calls(service.folders)]

    @v1.get("/roots", response_model=list[FolderAnswer], tags=["library"])
    async def roots() -> list[dict[str, Any]]:
        """The folders among which one may be chosen to be indexed: those of `clipsight serve --roots`."""
        return [{**asdict(each), "path": _shown(each.path)} for each in service.roots()]

    @v1.get("/roots/{id}/folders", response_model=list[FolderAnswer], tags=["library"])
    async def subfolders(id: Annotated[str, InPath(max_length=64)]) -> list[dict[str, Any]]:
        """The folders in one of the roots, or in a folder of an earlier answer."""
        found = await calls(partial(service.subfolders, id))
        return [{**asdict(each), "path": _shown(each.path)} for each in found]

    @v1.get("/labels", response_model=list[LabelAnswer], tags=["library"])
    async def labels() -> list[dict[str, Any]]:
        """The labels that classification gave to photos."""
        return [asdict(each) for each in await calls(service.labels)]

    @v1.get("/models", response_model=list[ModelAnswer], tags=["library"])
    async def models() -> list[dict[str, Any]]:
        """The models that are here or can be had."""
        found, in_use = await calls(service.models), await calls(lambda: service.model)
        return [{**asdict(each), "in_use": each.name == in_use} for each in found]


def _add_indexing(v1: APIRouter, service: Service, calls: Calls) -> None:
    @v1.post("/index", response_model=JobAnswer, status_code=202, tags=["index"])
    async def index(body: IndexRequest) -> Job:
        """Start to bring folders up to date, or to switch to another model; one run at a time."""
        return await calls(partial(service.start_index, body.folders, model=body.model, retry=body.retry))

    @v1.get("/index", response_model=list[JobAnswer], tags=["index"])
    async def runs() -> list[Job]:
        """The runs since the server started, the newest first."""
        return service.jobs()

    @v1.get("/index/{job}", response_model=JobAnswer, tags=["index"])
    async def run(job: JobId) -> Job:
        """How far a run is."""
        return service.job(job)

    @v1.delete("/index/{job}", response_model=JobAnswer, status_code=202, tags=["index"])
    async def stop(job: JobId) -> Job:
        """Ask a run to stop; what it has embedded is kept."""
        return service.stop_job(job)

    @v1.get(
        "/index/{job}/events",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {}}, "description": "The run, as `data: {...}`."}},
        tags=["index"],
    )
    async def events(job: JobId) -> StreamingResponse:
        """The run each time it has changed, up to its end, as server-sent events."""
        service.job(job)  # 404 while there is still a status to send
        return StreamingResponse(_events(service, calls, job), media_type="text/event-stream")


async def _events(service: Service, calls: Calls, job_id: str) -> AsyncIterator[str]:
    told = None
    while (told is None or told.running) and not calls.ending:
        job = service.job(job_id)
        if job is not told:
            told = job
            yield f"data: {json.dumps(asdict(job))}\n\n"
        if job.running:
            await asyncio.sleep(_TELL_SECONDS)


def _add_embeddings(v1: APIRouter, router: APIRouter, service: Service, calls: Calls) -> None:
    @v1.post("/embed", response_model=EmbedAnswer, tags=["embed"])
    async def embed(request: Request, body: EmbedRequest) -> dict[str, Any]:
        """The vectors of texts and pictures, which meet in one space."""

        def work(gone: Any) -> dict[str, Any]:
            found = []
            if body.texts:
                found.append(service.embed_texts(body.texts, stop=gone))
            if body.pictures:
                found.append(service.embed_pictures([each.part() for each in body.pictures], stop=gone))
            vectors = np.concatenate(found)
            return {"model": service.model, "dim": vectors.shape[1], "vectors": vectors.tolist()}

        return await calls.until_gone(request, work)

    @router.post("/v1/embeddings", response_model=OpenAIAnswer, tags=["embed"])
    async def embeddings(request: Request, body: OpenAIRequest) -> dict[str, Any]:
        """Vectors of texts in the form of OpenAI's API, for programs that speak it."""

        def work(gone: Any) -> dict[str, Any]:
            name, texts = service.model, [body.input] if isinstance(body.input, str) else body.input
            if body.model not in (None, name):
                raise NotFoundError(
                    f"this library has no vectors of {body.model[:80]!r}: its model is {name}"
                )
            vectors = service.embed_texts(texts, stop=gone)
            tokens = service.count_tokens(texts)
            data = [
                {
                    "index": place,
                    "embedding": base64.b64encode(row.astype("<f4").tobytes()).decode()
                    if body.encoding_format == "base64"
                    else row.tolist(),
                }
                for place, row in enumerate(vectors)
            ]
            return {"data": data, "model": name, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}

        return await calls.until_gone(request, work)


def _add_state(v1: APIRouter, router: APIRouter, service: Service, calls: Calls, metrics: Metrics) -> None:
    red: _Responses = {503: {"model": HealthAnswer, "description": "It can't work."}}

    @v1.get("/health", response_model=HealthAnswer, responses=red, tags=["state"])
    async def health(response: Response) -> dict[str, Any]:
        """Whether the catalog and the model can be used, and what is wrong if not."""
        found = await calls(service.health)
        response.status_code = 200 if found.ok else 503
        return asdict(found)

    @router.get(
        "/health",
        response_model=Alive,
        responses={503: {"model": Alive, "description": "It can't work."}},
        tags=["state"],
    )
    async def alive(response: Response) -> Alive:
        """The same without details, for whoever has no token."""
        found = await calls(service.health)
        response.status_code = 200 if found.ok else 503
        return Alive(ok=found.ok)

    @router.get("/metrics", response_class=PlainTextResponse, tags=["state"])
    async def metrics_text() -> PlainTextResponse:
        """Counts and times for Prometheus."""
        found = await calls(service.health)
        gauges = {
            "clipsight_healthy": ("1 if the catalog and the model can be used.", float(found.ok)),
            "clipsight_photos": ("Photos in the library.", float(found.photos or 0)),
            "clipsight_indexing": ("1 while indexing.", float(any(job.running for job in service.jobs()))),
            "clipsight_resident_bytes": ("Memory of the server's process.", float(resident_bytes())),
        }
        return PlainTextResponse(metrics.text(gauges), media_type="text/plain; version=0.0.4")
