"""Endpoints that ask the model about photos: search, classify, explain. Called by `api`."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import PlainTextResponse

from clipsight.classification.predictions import best_labels
from clipsight.search.options import SearchOptions
from clipsight.web.api.printed import printed
from clipsight.web.api.schemas import (
    ClassifyAnswer,
    ClassifyRequest,
    CommandSearch,
    ExplainAnswer,
    ExplainRequest,
    SearchAnswer,
    SearchRequest,
    WordSearch,
)
from clipsight.web.server.cancellation import RequestThreads
from clipsight.web.service.payloads import json_safe
from clipsight.web.service.query_parts import QueryPart, parse_query
from clipsight.web.service.service import Service


def add_routes(router: APIRouter, service: Service, threads: RequestThreads) -> None:
    """Add the endpoints to the router of /api/v1."""

    async def search(
        request: Request, query: str | Sequence[QueryPart], options: SearchOptions, folders: Sequence[str]
    ) -> dict[str, Any]:
        found = await threads.run_until_disconnect(
            request, lambda gone: service.search(query, options, folders=folders, stop=gone)
        )
        matches = [{**match.to_dict(), "path": json_safe(match.path)} for match in found]
        return {"query": found.query, "model": found.model, "matches": matches, "notes": found.notes}

    @router.get("/search", response_model=SearchAnswer, tags=["search"])
    async def search_words(request: Request, asked: Annotated[WordSearch, Query()]) -> dict[str, Any]:
        """Find photos by words."""
        return await search(request, asked.q, asked.search_options(), asked.folder)

    @router.post("/search", response_model=SearchAnswer, tags=["search"])
    async def search_parts(request: Request, body: SearchRequest) -> dict[str, Any]:
        """Find photos by words, by photos of the library, by uploaded pictures, or by several of them."""
        return await search(request, body.asked(), body.search_options(), body.folders)

    @router.get("/search/printed", response_class=PlainTextResponse, tags=["search"])
    async def search_printed(request: Request, asked: Annotated[CommandSearch, Query()]) -> Response:
        """What `clipsight search` prints: notes, a line each, an empty line, and the result."""

        def work(gone: Any) -> bytes:
            parts = parse_query(asked.q, add=asked.add, subtract=asked.subtract)
            found = service.search(parts, asked.search_options(), stop=gone)
            return printed(found, asked.form, width=asked.width, colour=asked.colour)

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
