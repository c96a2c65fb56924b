"""What a document leads to: bytes in, addresses out. One module for each kind of document, none of which fetches.

    find(body, "http://host/", kind="text/html").images

`document` says what kind a body is; `html`, `css`, `json_ld`, `srcset`, `sitemap`, `feed` and `web_manifest` know one
language each, `header` that of an answer's header; `json_text` reads the JSON in pages; `found` is what all give.
"""

from dqlab.crawl.find.document import Unreadable, find, is_readable
from dqlab.crawl.find.found import Found

__all__ = ["Found", "Unreadable", "find", "is_readable"]
