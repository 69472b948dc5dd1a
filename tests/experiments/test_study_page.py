"""The tables of the pages on studies are those of the committed results."""

import pytest
import study_page


@pytest.mark.parametrize("page", study_page.PAGES, ids=lambda page: page.stem)
def test_the_page_shows_what_the_results_hold(page):
    text = page.read_text()
    assert len(study_page.SECTION.findall(text)) >= 2
    assert study_page.with_tables(text) == text
