"""Lists of addresses: text, tables, JSON lines; read a line at a time."""

import gzip
import itertools
import tracemalloc

import pytest

from dqlab.crawl.lists import addresses, open_list
from dqlab.errors import BadInput

A, B = "http://host/a.png", "https://host/b%20c.png"


def listed(tmp_path, name, text, column=None):
    """The addresses of a list with this name and text, and what was no address."""
    file, skipped = tmp_path / name, []
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with open_list(str(file)) as lines:
        return list(addresses(lines, str(file), column, skipped.append)), skipped


@pytest.mark.parametrize(
    ("name", "text", "column"),
    [
        ("x.txt", "http://host/a.png\nhttps://host/b c.png\n", None),
        ("x", "\ufeff http://HOST:80/a.png#x \r\n\r\n# a comment\r\nhttps://host/b c.png", None),
        ("x.csv", "url,title\nhttp://host/a.png,A\nhttps://host/b c.png,B\n", None),
        ("x.csv", 'title,Link\n"one, two",http://host/a.png\n"three\nfour",https://host/b c.png\n', "link"),
        ("x.csv", "http://host/a.png,A\nhttps://host/b c.png,B\n", None),
        ("x.tsv", "id\timage_url\n1\thttp://host/a.png\n2\thttps://host/b c.png\n", None),
        ("x.txt", "id\tpicture\n1\thttp://host/a.png\n2\thttps://host/b c.png\n", "picture"),
        ("x.jsonl", '{"url": "http://host/a.png"}\n{"url": "https://host/b c.png"}\n', None),
        ("x.txt", '{"src": "http://host/a.png", "n": 1}\n{"src": "https://host/b c.png"}\n', "src"),
        ("x.ndjson", '"http://host/a.png"\n"https://host/b c.png"\n', None),
        ("x.csv", "id;URL\n1;http://host/a.png\n2;https://host/b c.png\n", None),
        ("x.jsonl", '{"URL": "http://host/a.png"}\n{"Url": "https://host/b c.png"}\n', None),
        ("x.txt", "\ufeffhttp://host/a.png\r\nhttps://host/b c.png\r\n".encode("utf-16-le"), None),
        ("x.txt", '"http://host/a.png"\n<https://host/b c.png>\n', None),
        ("x.csv.gz", gzip.compress(b"url\nhttp://host/a.png\nhttps://host/b c.png\n"), None),
    ],
)
def test_kinds_of_lists(tmp_path, name, text, column):
    assert listed(tmp_path, name, text, column) == ([A, B], [])


@pytest.mark.parametrize(
    ("name", "text", "skipped"),
    [
        ("x.txt", "nonsense\nhttp://host/a.png\nftp://host/x\n", ["nonsense", "ftp://host/x"]),
        ("x.csv", "id,url\n1,http://host/a.png\n2\n3,x\n", ["(a short line)", "x"]),
        ("x.jsonl", '{"url": "http://host/a.png"}\n{"torn\n{"url": 7}\n[1]\n', ['{"torn', '{"url": 7}', "[1]"]),
        ("x.csv", f"url\nhttp://host/a.png\n{'x' * 200_000}\n", ["field larger than field limit (131072)"]),
    ],
)
def test_what_is_no_address_is_told_of_and_passed_over(tmp_path, name, text, skipped):
    assert listed(tmp_path, name, text) == ([A], skipped)


def test_one_json_array_is_refused_with_what_makes_lines_of_it(tmp_path):
    with pytest.raises(BadInput, match="one JSON array"):
        listed(tmp_path, "x.json", '[{"url": "http://host/a.png"}]')


@pytest.mark.parametrize(("name", "column"), [("x.csv", "no-such"), ("x.csv", None)])
def test_a_column_that_is_not_there(tmp_path, name, column):
    with pytest.raises(BadInput, match=rf"no column '{column or 'url'}' \(--column takes one of: id, title\)"):
        listed(tmp_path, name, "id,title\n1,x\n", column)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(BadInput, match="none can't be read: No such file"):
        open_list(str(tmp_path / "none"))


def test_a_million_lines_are_not_held():
    class Lines:
        """A file without end."""

        number = 0

        def readline(self, limit):
            self.number += 1
            return f"http://host/{self.number}.png\n"

    tracemalloc.start()
    for _ in itertools.islice(addresses(Lines(), "-", None, print), 100_000):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 1_000_000
