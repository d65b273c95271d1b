"""Endpoints that ask the model about photos: search, classify, explain. Called by `api`."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import PlainTextResponse

from clipsight.classification.zero_shot import best_labels
from clipsight.render.tables import Format
from clipsight.web.api.printed import printed
from clipsight.web.api.schemas import (
    ClassifyAnswer,
    ClassifyRequest,
    Date,
    ExplainAnswer,
    ExplainRequest,
    FolderId,
    Label,
    Offset,
    SearchAnswer,
    SearchRequest,
    Sort,
    Text,
    Top,
)
from clipsight.web.server.cancellation import RequestThreads
from clipsight.web.service.payloads import json_safe
from clipsight.web.service.query_parts import parse_query
from clipsight.web.service.service import Service


def add_routes(router: APIRouter, service: Service, threads: RequestThreads) -> None:
    """Add the endpoints to the router of /api/v1."""

    async def search(request: Request, asked: SearchRequest) -> dict[str, Any]:
        options = asked.model_dump(exclude={"query", "parts"})
        found = await threads.run_until_disconnect(
            request, lambda gone: service.search(asked.asked(), stop=gone, **options)
        )
        matches = [{**match.to_dict(), "path": json_safe(match.path)} for match in found]
        return {"query": found.query, "model": found.model, "matches": matches, "notes": found.notes}

    @router.get("/search", response_model=SearchAnswer, tags=["search"])
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

    @router.post("/search", response_model=SearchAnswer, tags=["search"])
    async def search_parts(request: Request, body: SearchRequest) -> dict[str, Any]:
        """Find photos by words, by photos of the library, by uploaded pictures, or by several of them."""
        return await search(request, body)

    @router.get("/search/printed", response_class=PlainTextResponse, tags=["search"])
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
                [*parse_query(q, add=add, subtract=subtract)],
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

        return PlainTextResponse(await threads.run_until_disconnect(request, work))

    @router.post("/classify", response_model=ClassifyAnswer, tags=["classify"])
    async def classify(request: Request, body: ClassifyRequest) -> dict[str, Any]:
        """Which of some labels fits each photo best."""
        return await threads.run_until_disconnect(request, lambda gone: _classify(service, body, gone))

    @router.post("/explain", response_model=ExplainAnswer, tags=["explain"])
    async def explain(request: Request, body: ExplainRequest) -> dict[str, Any]:
        """Which words of a query, and which places of a photo, made its score."""
        photo = body.picture.part() if body.picture is not None else body.photo
        assert photo is not None
        found = await threads.run_until_disconnect(
            request, lambda gone: service.explain(body.asked(), photo, word=body.word, stop=gone)
        )
        return {**found.to_dict(), "notes": found.notes}


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
            photos.append({"id": id_, "path": json_safe(path), "labels": labels})
    return {
        "model": result.model,
        "templates": result.templates.name,
        "scoring": result.classifier.scoring,
        "photos": photos,
        "notes": result.notes,
    }
