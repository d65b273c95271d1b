"""Endpoints for embeddings, in clipsight's own format and in OpenAI's."""

import base64
from typing import Any

import numpy as np
from fastapi import APIRouter, Request

from clipsight.core.errors import NotFoundError
from clipsight.models.encoder import Stop
from clipsight.web.api.requests import EmbedRequest, OpenAIRequest
from clipsight.web.api.responses import EmbedAnswer, OpenAIAnswer
from clipsight.web.server.cancellation import RequestThreads
from clipsight.web.service.service import Service


def add_routes(router: APIRouter, service: Service, threads: RequestThreads) -> None:
    """Add the endpoints to the router of /api/v1."""

    @router.post("/embed", response_model=EmbedAnswer, tags=["embed"])
    async def embed(request: Request, body: EmbedRequest) -> dict[str, Any]:
        """Embed texts and pictures in one space."""

        def work(stop: Stop) -> dict[str, Any]:
            found = []
            if body.texts:
                found.append(service.embed_texts(body.texts, stop=stop))
            if body.pictures:
                found.append(service.embed_pictures([each.part() for each in body.pictures], stop=stop))
            vectors = np.concatenate(found)
            return {"model": service.library.model, "dim": vectors.shape[1], "vectors": vectors.tolist()}

        return await threads.run_until_disconnect(request, work)


def add_openai_routes(router: APIRouter, service: Service, threads: RequestThreads) -> None:
    """Add the endpoint in OpenAI's format, with its own path."""

    @router.post("/v1/embeddings", response_model=OpenAIAnswer, tags=["embed"])
    async def embeddings(request: Request, body: OpenAIRequest) -> dict[str, Any]:
        """Embed texts, for clients of OpenAI's API."""

        def work(stop: Stop) -> dict[str, Any]:
            name, texts = service.library.model, [body.input] if isinstance(body.input, str) else body.input
            if body.model not in (None, name):
                raise NotFoundError(
                    f"this library has no vectors of {body.model[:80]!r}: its model is {name}"
                )
            vectors = service.embed_texts(texts, stop=stop)
            tokens = service.count_tokens(texts)
            data = [
                {
                    "index": index,
                    "embedding": base64.b64encode(row.astype("<f4").tobytes()).decode()
                    if body.encoding_format == "base64"
                    else row.tolist(),
                }
                for index, row in enumerate(vectors)
            ]
            return {"data": data, "model": name, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}

        return await threads.run_until_disconnect(request, work)
