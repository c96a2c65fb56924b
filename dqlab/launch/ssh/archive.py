"""dqlab in one file: a zip archive of dqlab and the packages that its workers and the crawl import, pure Python only.

It is made from what is installed here and runs from any folder with the same major.minor Python: no pip, no internet.
Equal content gives an equal name, so a machine that has it need not be sent it again.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

from dqlab.errors import LaunchFailed

__all__ = ["archive"]

#: what dqlab can't do without.
NEEDED = ("dqlab", "cloudpickle")
#: what the crawl imports, and what that imports; left out where it is not installed.
WANTED = (
    "requests",
    "urllib3",
    "idna",
    "certifi",
    "charset_normalizer",
    "tqdm",
)
#: what belongs to a package: compiled parts don't, each of these packages has a Python twin of them.
KINDS = (".py", ".pem")
#: the date of every file in it, so that equal content gives equal bytes.
DATE = (1980, 1, 1, 0, 0, 0)


def archive(version: str) -> tuple[str, bytes]:
    """The name ("VERSION-HASH") and the bytes of the archive. LaunchFailed if a needed package is not here."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for package in NEEDED + WANTED:
            for inside, path in _files(package):
                info = zipfile.ZipInfo(inside, DATE)
                info.compress_type = zipfile.ZIP_DEFLATED
                file.writestr(info, path.read_bytes())
    data = buffer.getvalue()
    return f"{version}-{hashlib.sha256(data).hexdigest()[:16]}", data


def _files(package: str) -> Iterator[tuple[str, Path]]:
    """Each file of a package or module: its name in the archive, and where it is here."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        if package in NEEDED:
            raise LaunchFailed(f"install=True sends {package}, which is not installed here", f"pip install {package}")
        return
    origin = Path(spec.origin)
    if not spec.submodule_search_locations:
        yield origin.name, origin
        return
    for path in sorted(origin.parent.rglob("*")):
        if path.suffix in KINDS and "__pycache__" not in path.parts:
            yield (Path(package) / path.relative_to(origin.parent)).as_posix(), path
