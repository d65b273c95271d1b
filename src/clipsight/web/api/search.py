"""Endpoints that use the model on photos: search, classify, explain."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import PlainTextResponse

from clipsight.classification.predictions import best_labels
from clipsight.core.version import __version__
from clipsight.models.encoder import Stop
from clipsight.models.registry import BUILTIN
from clipsight.render.columns import basic, format_table, plain
from clipsight.render.tables import NO_MATCH, Format, matches_as_columns, matches_as_text
from clipsight.search.options import SearchOptions
from clipsight.search.results import Matches
from clipsight.web.api.requests import (
    ClassifyRequest,
    CommandSearch,
    ExplainRequest,
    SearchRequest,
    WordSearch,
)
from clipsight.web.api.responses import ClassifyAnswer, ExplainAnswer, SearchAnswer
from clipsight.web.client.local import MARK
from clipsight.web.server.cancellation import RequestThreads
from clipsight.web.service.payloads import json_safe
from clipsight.web.service.query_parts import (
    GivenPart,
    KeptPart,
    PhotoPart,
    PrintedPart,
    TextPart,
    UploadPart,
    parse_query,
)
from clipsight.web.service.service import Service


def add_routes(router: APIRouter, service: Service, threads: RequestThreads) -> None:
    """Add the endpoints to the router of /api/v1."""

    async def search(
        request: Request, parts: Sequence[GivenPart], options: SearchOptions, folders: Sequence[str]
    ) -> dict[str, Any]:
        found = await threads.run_until_disconnect(
            request, lambda stop: service.search(parts, options, folders=folders, stop=stop)
        )
        matches = [_safe(match.to_dict()) for match in found]
        return {
            "query": found.query,
            "model": found.model,
            "matches": matches,
            "parts": list(map(_part, parts)),
            "notes": found.notes,
        }

    @router.get("/search", response_model=SearchAnswer, response_model_exclude_unset=True, tags=["search"])
    async def search_words(request: Request, parameters: Annotated[WordSearch, Query()]) -> dict[str, Any]:
        """Find photos by words."""
        return await search(
            request, parse_query(parameters.q), parameters.search_options(), parameters.folder
        )

    @router.post("/search", response_model=SearchAnswer, response_model_exclude_unset=True, tags=["search"])
    async def search_parts(request: Request, body: SearchRequest) -> dict[str, Any]:
        """Find photos by words, by photos of the library, by uploaded pictures, or by several of them."""
        return await search(request, body.all_parts(), body.search_options(), body.folders)

    @router.get("/search/printed", response_class=PlainTextResponse, tags=["search"])
    async def search_printed(request: Request, parameters: Annotated[CommandSearch, Query()]) -> Response:
        """Get the output of `clipsight search`: one note per line, an empty line, and the result."""

        def work(stop: Stop) -> bytes:
            parts = parse_query(parameters.q, add=parameters.add, subtract=parameters.subtract)
            found = service.search(parts, parameters.search_options(), stop=stop)
            return _command_output(found, parameters.form, width=parameters.width, colour=parameters.colour)

        text = await threads.run_until_disconnect(request, work)
        return PlainTextResponse(text, headers={MARK: __version__})

    @router.post("/classify", response_model=ClassifyAnswer, tags=["classify"])
    async def classify(request: Request, body: ClassifyRequest) -> dict[str, Any]:
        """Find the labels that fit each photo best."""
        return await threads.run_until_disconnect(request, lambda stop: _classify(service, body, stop))

    @router.post("/explain", response_model=ExplainAnswer, tags=["explain"])
    async def explain(request: Request, body: ExplainRequest) -> dict[str, Any]:
        """Explain the score of a photo: contributions of words, and a heat map."""
        found = await threads.run_until_disconnect(
            request, lambda stop: service.explain(body.all_parts(), body.shown(), word=body.word, stop=stop)
        )
        return {**found.to_dict(), "notes": found.notes}


def _safe(match: dict[str, Any]) -> dict[str, Any]:
    """A match with paths that are valid Unicode."""
    copies = {"copies": list(map(json_safe, match["copies"]))} if "copies" in match else {}
    return {**match, "path": json_safe(match["path"]), **copies}


def _part(part: GivenPart) -> dict[str, Any]:
    match part:
        case TextPart(text, weight):
            return {"text": text, "weight": weight}
        case PrintedPart(text, weight):
            return {"printed": text, "weight": weight}
        case PhotoPart(id_, weight):
            return {"photo": id_, "weight": weight}
        case KeptPart(id_, name, weight):
            return {"upload": id_, "name": name, "weight": weight}
        case UploadPart(_, name, weight):
            return {"name": name, "weight": weight}


def _classify(service: Service, body: ClassifyRequest, stop: Stop) -> dict[str, Any]:
    result = service.classify(
        body.labels,
        photos=body.photos,
        pictures=[*(each.part() for each in body.pictures), *(each.part() for each in body.uploads)],
        folders=body.folders,
        templates=body.templates,
        extra_templates=body.extra_templates,
        unknown=body.unknown,
        keep=body.keep,
        stop=stop,
    )
    photos = []
    for chunk in result.chunks:
        best = best_labels(chunk.probabilities, body.top) if len(chunk) else ()
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


def _command_output(matches: Matches, form: Format, *, width: int, colour: bool) -> bytes:
    """One note per line, an empty line, and the standard output of `clipsight search`, byte for byte."""
    notes = [*matches.notes, *([] if matches.model == BUILTIN else [f"answered by {matches.model}"])]
    if form is not Format.TABLE:
        text = matches_as_text(matches, form)
    elif matches:
        text = format_table(*matches_as_columns(matches), width=width, paint=basic if colour else plain)
    else:
        notes, text = [NO_MATCH, *notes], ""
    head = "".join(f"{note}\n" for note in notes)
    return f"{head}\n".encode(errors="replace") + text.encode(errors="surrogateescape")
