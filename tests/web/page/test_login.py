"""The login page."""

from clipsight.web.page.login import login_page


def test_the_form_is_in_the_readers_language_and_below_the_prefix() -> None:
    answer = login_page({"accept-language": "zh-TW"}, "/photos", is_wrong=False)
    page = bytes(answer.body).decode()
    assert answer.status_code == 401 and "unsafe" not in answer.headers["content-security-policy"]
    assert '<html lang="zh-Hant">' in page and 'action="/photos/login"' in page
    assert '<base href="/photos/">' in page and 'role="alert"' not in page


def test_a_wrong_token_is_said() -> None:
    page = bytes(login_page({}, "", is_wrong=True).body).decode()
    assert 'role="alert"' in page and "This token is wrong" in page
