"""The web page and the HTTP API: needs the extra [web]. `service` is what both are made of.

`app.make_app` puts the API together and calls `page.mount(app, service)` for the page; `server` runs it.
"""
