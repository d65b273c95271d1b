"""The web page and the HTTP API (the extra `[web]`), both built on `web.service`.

`server.app.create_app` combines them: `api.create_router` makes the API, `page.mount` adds the page.
"""
