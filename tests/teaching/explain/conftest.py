"""The page in a real browser."""

import pytest

from tinycnn.teaching.explain.command import page as text_of
from tinycnn.teaching.explain.worked import ConvGeometry


@pytest.fixture(scope="session")
def window(browser):
    """One window for all tests: to open a new one takes longer than most of them."""
    page = browser.new_page()
    page.set_default_timeout(10_000)
    return page


@pytest.fixture
def open_page(window, tmp_path):
    """Opens the page for a geometry; an error in its script, or a request for anything else, fails the test."""
    path, complaints = tmp_path / "explain.html", []

    def on_error(error):
        complaints.append(str(error))

    def on_request(request):
        if request.url != path.as_uri():
            complaints.append(request.url)

    def open_it(geometry=None, seed=0, width=1280, height=800):
        path.write_text(text_of(geometry or ConvGeometry(), seed), encoding="utf-8")
        window.set_viewport_size({"width": width, "height": height})
        window.goto(path.as_uri())
        return window

    window.on("pageerror", on_error)
    window.on("request", on_request)
    yield open_it
    window.remove_listener("pageerror", on_error)
    window.remove_listener("request", on_request)
    assert complaints == []
