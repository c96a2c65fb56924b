"""Pictures in JSON-LD."""

import json

import pytest

from dqlab.crawl.find.json_ld import references


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ({"image": "a.png"}, ["a.png"]),
        ({"image": ["a.png", "b.png"], "logo": {"@type": "ImageObject", "url": "c.png"}}, ["a.png", "b.png", "c.png"]),
        ({"image": {"url": "a.png", "contentUrl": "b.png", "caption": "c", "width": "9"}}, ["b.png"]),
        ({"@graph": [{"@type": "ImageObject", "contentUrl": "a.png", "url": "page.html"}]}, ["a.png"]),
        ({"@type": "VideoObject", "contentUrl": "film.mp4", "thumbnailUrl": "a.png"}, ["a.png"]),
        ({"author": {"image": {"@type": ["Thing", "ImageObject"], "url": "a.png"}}, "url": "page.html"}, ["a.png"]),
        ({"image": {"@list": ["a.png", {"@value": "b.png"}]}, "schema:logo": "c.png"}, ["a.png", "b.png", "c.png"]),
        ({"image": {"@id": "http://host/a.png"}, "logo": {"@id": "http://host/page#logo"}}, ["http://host/a.png"]),
        ({"@type": "ImageObject", "url": ["a.png", "b.png"], "@id": "c.png"}, ["a.png", "b.png"]),
        ({"@type": "SoftwareApplication", "screenshot": ["a.png", {"url": "b.png"}]}, ["a.png", "b.png"]),
        ([{"image": 7}, {"image": None}, "text", 1.5], []),
    ],
)
def test_pictures(document, found):
    assert list(references(json.dumps(document))) == found


@pytest.mark.parametrize("wrapping", ["%s", "<!-- %s -->", "//<![CDATA[\n%s\n//]]>", "%s;"])
def test_what_old_pages_wrap_it_in(wrapping):
    assert list(references(wrapping % '{"image": "a.png", "description": "two\nlines"}')) == ["a.png"]


@pytest.mark.parametrize("text", ["", "no JSON", '{"image": ', "[" * 100_000, '{"@type": {}}', '{"@type": [[]]}'])
def test_what_is_none_is_passed_over(text):
    assert list(references(text)) == []
