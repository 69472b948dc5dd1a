"""The tables of docs/study.md are those of the committed results."""

import study_page


def test_the_page_shows_what_the_results_hold():
    page = study_page.PAGE.read_text()
    assert len(study_page.SECTION.findall(page)) >= 2
    assert study_page.with_tables(page) == page
