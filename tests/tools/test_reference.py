from __future__ import annotations

from pathlib import Path

import pytest

from penstock.conf import all_options
from penstock.tools.reference import PAGES, main, options_page

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", sorted(PAGES))
def test_pages_are_up_to_date(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    assert text == PAGES[page](), f"docs/{page} is stale: run `python -m penstock.tools.reference docs`"


def test_every_option_is_in_the_reference() -> None:
    page = options_page()
    for key, option in all_options().items():
        assert f"| `{key}` |" in page
        assert all(f"`{older}`" in page for older in option.fallback_keys)


def test_writing_and_checking(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", str(tmp_path)]) == 1
    assert main([str(tmp_path)]) == 0
    assert main(["--check", str(tmp_path)]) == 0
    assert main([]) == 2
    assert (tmp_path / "options.md").read_text(encoding="utf-8") == options_page()
    capsys.readouterr()
