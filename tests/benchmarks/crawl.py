"""Bringing pictures home: a fast site on this machine and one that takes 50 ms an answer, beside what people use else.

Pictures a second for the whole command, start included; CPU of the command and its processes; peak memory of the
largest of them. The site is an asyncio server of its own in another process; contenders that aren't installed are left
out (scrapy, wget, curl).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.benchmarks.harness import Row, Table, compare, side_by_side, stopwatch

#: pictures of the fast site and of the slow one, and the bytes of each
FAST, SLOW, BYTES = 1500, 3000, 25_000
#: seconds that the slow site takes for an answer
DELAY = 0.05
#: workers that are compared
WORKERS = (1, 2, 4, 8, 16)

LOOP = """
import os, re, sys, requests
url, out = sys.argv[1:]
os.makedirs(out)
session = requests.Session()
for path in re.findall('src="(.*?)"', session.get(url).text):
    body = session.get(url.rstrip("/") + path).content
    open(os.path.join(out, os.path.basename(path)), "wb").write(body)
"""
THREADS = """
import os, re, sys, threading, requests
from concurrent.futures import ThreadPoolExecutor
url, out = sys.argv[1:]
os.makedirs(out)
own = threading.local()
def get(path):
    if not hasattr(own, "session"):
        own.session = requests.Session()
    body = own.session.get(url.rstrip("/") + path).content
    open(os.path.join(out, os.path.basename(path)), "wb").write(body)
with ThreadPoolExecutor(16) as executor:
    list(executor.map(get, re.findall('src="(.*?)"', requests.get(url).text)))
"""
SCRAPY = """
import sys, scrapy
from scrapy.crawler import CrawlerProcess
url, out = sys.argv[1:]
class Pictures(scrapy.Spider):
    name, start_urls = "pictures", [url]
    custom_settings = {"ITEM_PIPELINES": {"scrapy.pipelines.images.ImagesPipeline": 1}, "IMAGES_STORE": out,
                       "CONCURRENT_REQUESTS": 64, "CONCURRENT_REQUESTS_PER_DOMAIN": 64, "LOG_LEVEL": "ERROR"}
    def parse(self, response):
        yield {"image_urls": [response.urljoin(src) for src in response.css("img::attr(src)").getall()]}
process = CrawlerProcess()
process.crawl(Pictures)
process.start()
"""
SERVER = "from tests.benchmarks.crawl import serve; import sys; serve(int(sys.argv[1]), float(sys.argv[2]))"


def serve(pictures: int, delay: float) -> None:
    """Serve a page with so many pictures, each answer after `delay` seconds; print the address. Ends with its input."""
    from tests.crawl.hostile import PNG

    body = PNG + bytes(BYTES - len(PNG))  # what follows the end of a picture does no harm
    page = "".join(f'<img src="/{number}.png">' for number in range(pictures)).encode()
    head = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                while (await reader.readline()).strip():
                    pass
                path = line.split()[1]
                await asyncio.sleep(delay)
                if path == b"/":
                    writer.write(head % (b"200 OK", b"text/html", len(page)) + page)
                elif path.endswith(b".png"):
                    writer.write(head % (b"200 OK", b"image/png", len(body)) + body)
                else:
                    writer.write(head % (b"404 Not Found", b"text/plain", 0))
                await writer.drain()
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=500)
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        os._exit(0)

    asyncio.run(main())


@contextlib.contextmanager
def site(pictures: int, delay: float) -> Iterator[str]:
    """Serve it in a process of its own and give its address."""
    command = [sys.executable, "-c", SERVER, str(pictures), str(delay)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        assert server.stdin is not None
        server.stdin.close()


class Contender:
    """A command that brings the pictures of a page into a folder within `place`, where they stay: to delete them would
    be the next one's cost, as some file systems look at each entry that was freed just now before they take another.

    What it took is in `cpu` (ms) and `peak` (MB).
    """

    def __init__(self, name: str, command: list[str], pictures: int, place: Path) -> None:
        self.name, self.command, self.pictures, self.place = name, command, pictures, place
        self.cpu: list[float] = []
        self.peak = 0.0

    def measure(self) -> float:
        """Run it and return pictures a second."""
        folder = tempfile.mkdtemp(dir=self.place)
        with stopwatch() as seconds:
            out = f"{folder}/out"
            command = [word.replace("OUT", out) for word in self.command]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)
            _, _, usage = os.wait4(process.pid, 0)
            took = seconds()
        brought = sum(file.stat().st_size == BYTES for file in Path(folder).rglob("*") if file.is_file())
        assert brought >= self.pictures, f"{self.name} brought {brought} of {self.pictures}"
        self.cpu.append((usage.ru_utime + usage.ru_stime) * 1000 / self.pictures)
        self.peak = max(self.peak, usage.ru_maxrss / 1024)
        return self.pictures / took


def dqlab(url: str, *words: str) -> list[str]:
    """Return the command of a crawl; each address gets its file, as with the others."""
    return [sys.executable, "-m", "dqlab", "crawl", url, "--out", "OUT", "--keep-duplicates", *words]


def contenders(url: str, pictures: int, place: Path) -> list[Contender]:
    """Return those that are installed."""
    python = [sys.executable, "-c"]
    commands = {
        "requests in a loop": [*python, LOOP, url, "OUT"],
        "requests in 16 threads": [*python, THREADS, url, "OUT"],
        "dqlab": dqlab(url),
        "dqlab --per-host 64": dqlab(url, "--per-host", "64"),
    }
    commands |= {f"dqlab -n {number}": dqlab(url, "-n", str(number)) for number in WORKERS}
    if has("import scrapy, PIL"):
        commands["scrapy, ImagesPipeline"] = [*python, SCRAPY, url, "OUT"]
    if shutil.which("wget"):
        commands["wget -r"] = ["wget", "-q", "-r", "-l", "1", "-p", "-P", "OUT", url]
    if shutil.which("curl"):
        numbered = f"{url}[0-{pictures - 1}].png"
        commands["curl --parallel, 64"] = [
            "curl", "-s", "-Z", "--parallel-max", "64", "--create-dirs", "-o", "OUT/#1.png", numbered,
        ]  # fmt: skip
    return [Contender(name, command, pictures, place) for name, command in commands.items()]


def has(imports: str) -> bool:
    return subprocess.run([sys.executable, "-c", imports], capture_output=True).returncode == 0


def run(rounds: int = 3) -> list[Table]:
    tables = []
    for title, pictures, delay in (("this machine", FAST, 0.0), (f"{DELAY * 1000:g} ms an answer", SLOW, DELAY)):
        with site(pictures, delay) as url, tempfile.TemporaryDirectory() as place:
            running = contenders(url, pictures, Path(place))
            if delay:  # one after the other would take minutes
                running = [one for one in running if one.name not in ("requests in a loop", "wget -r")]
            measures: dict[str, Callable[[], float]] = {one.name: one.measure for one in running}
            values = side_by_side(measures, rounds)
            what = f"{pictures} pictures of {BYTES // 1000} KB, {title}"
            tables.append(compare(f"{what}: whole command", "pictures/s", values, "requests in 16 threads"))
            cpu = [Row(one.name, min(one.cpu), note=f"peak {one.peak:.0f} MB") for one in running]
            tables.append(Table(f"{what}: CPU, all processes that ended with it", "ms a picture", cpu))
    return tables
