"""The page's own files: text is set as text, nothing is loaded from elsewhere, every module is served."""

from __future__ import annotations

import re

import pytest
from starlette.testclient import TestClient

from rnn2vec.explorer.server import page_files

SCRIPTS = sorted(name for name in page_files() if name.endswith(".js"))
MARKUP = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser|createContextualFragment"
)


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_script_makes_markup_of_text(name: str) -> None:
    code = re.sub(r"//.*", "", page_files()[name].decode())
    assert not MARKUP.search(code)


@pytest.mark.parametrize("name", sorted(page_files()))
def test_no_file_names_another_machine(name: str) -> None:
    addresses = set(re.findall(r"https?://[^\s\"'`]+", page_files()[name].decode()))
    assert addresses <= {"http://www.w3.org/2000/svg"}


def test_every_module_is_served_as_what_it_is(client: TestClient) -> None:
    types = {"js": "text/javascript", "css": "text/css", "html": "text/html"}
    for name in page_files():
        response = client.get(f"/static/{name}")
        assert response.status_code == 200
        assert response.headers["content-type"].startswith(types[name.rpartition(".")[2]])
    imported = {one for name in SCRIPTS for one in re.findall(r'from "\./(.+?)"', page_files()[name].decode())}
    assert imported <= set(SCRIPTS)
    assert set(SCRIPTS) - imported == {"main.js"}
