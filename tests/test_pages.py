"""Pages: what a folder holds is text in them, never markup, and they load nothing from elsewhere."""

import jinja2
import pytest

from simsiam_tf import pages


def test_values_are_escaped(monkeypatch, tmp_path):
    (tmp_path / "hello.html").write_text('<p title="{{ name }}">{{ name }}</p>')
    monkeypatch.setattr(pages, "__file__", str(tmp_path / "__init__.py"))
    assert pages.page("hello.html", name="\"><script>'") == (
        '<p title="&#34;&gt;&lt;script&gt;&#39;">&#34;&gt;&lt;script&gt;&#39;</p>'
    )
    with pytest.raises(jinja2.UndefinedError):
        pages.page("hello.html")


def test_content_is_put_in_place():
    assert pages.data_uri(b"abc", "image/jpeg") == "data:image/jpeg;base64,YWJj"
