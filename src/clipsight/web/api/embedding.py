"""Endpoints that give vectors, in a form of ours and in OpenAI's. Called by `api`."""

import base64
from typing import Any

import numpy as np
from fastapi import APIRouter, Request

from clipsight.web.api.schemas import EmbedAnswer, EmbedRequest, OpenAIAnswer, OpenAIRequest
from clipsight.web.server.cancellation import RequestThreads
from clipsight.web.service.errors import NotFoundError
from clipsight.web.service.service import Service


def add_routes(router: APIRouter, service: Service, threads: RequestThreads) -> None:
    """Add the endpoints to the router of /api/v1."""

    @router.post("/embed", response_model=EmbedAnswer, tags=["embed"])
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

        return await threads.run_until_disconnect(request, work)


def add_openai_routes(router: APIRouter, service: Service, threads: RequestThreads) -> None:
    """Add the one in OpenAI's form, at its own place."""

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

        return await threads.run_until_disconnect(request, work)
