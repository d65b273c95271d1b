"""The login page: a form for the server's token, in the look and the languages of the page."""

import html
from collections.abc import Mapping

from starlette.responses import HTMLResponse

from clipsight.web.page.files import POLICY
from clipsight.web.page.languages import chosen_language, texts

_PAGE = """<!doctype html><html lang="{lang}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>{title} – clipsight</title><base href="{base}">
<link rel="icon" href="static/login/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="static/login/style.css"></head>
<body><div id="app"><main class="login"><img src="static/login/icon.svg" alt=""><h1>clipsight</h1>{problem}
<form method="post" action="{root_path}/login"><div class="field"><label for="token">{token}</label>
<input id="token" name="token" type="password" autocomplete="current-password" autofocus required
 aria-describedby="token-hint"><p id="token-hint" class="hint">{hint}</p></div>
<button class="button primary">{open}</button></form></main></div></body></html>"""


def login_page(headers: Mapping[str, str], root_path: str, *, is_wrong: bool) -> HTMLResponse:
    """The form for a request with these headers; `is_wrong`: a token was sent, but not the right one."""
    language = chosen_language(headers)
    words = {key: html.escape(text) for key, text in texts(language).items() if key.startswith("login.")}
    problem = f'<p class="problem" role="alert">{words["login.wrong"]}</p>' if is_wrong else ""
    page = _PAGE.format(
        lang=language,
        base=f"{root_path}/",
        root_path=root_path,
        problem=problem,
        title=words["login.title"],
        token=words["login.token"],
        hint=words["login.hint"],
        open=words["login.open"],
    )
    return HTMLResponse(page, 401, {"Content-Security-Policy": POLICY, "Cache-Control": "no-store"})
