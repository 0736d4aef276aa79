"""The page of what is served."""

from scripts import api_table


def test_the_page_lists_the_kinds_that_are_served() -> None:
    page = api_table.PAGE.read_text()
    assert page == api_table.renewed(page), "docs/api.md is not current: run `python -m scripts.api_table`"
