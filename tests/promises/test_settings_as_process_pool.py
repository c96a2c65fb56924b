"""What a script sets for its whole process is set for its tasks, as it is on ProcessPoolExecutor."""

from __future__ import annotations

from tests.cluster import script
from tests.promises.two_ways import both

SETTINGS = """
import csv, decimal, io, locale, logging, os, socket, sys, warnings
import numpy
from pathlib import Path
from tests.promises import two_ways

HERE = Path(__file__).with_name(f"{sys.argv[1]}.log")
sys.setrecursionlimit(4000)
sys.set_int_max_str_digits(5000)
decimal.getcontext().prec = 5
decimal.getcontext().traps[decimal.Inexact] = False
decimal.getcontext().rounding = decimal.ROUND_DOWN
socket.setdefaulttimeout(2.5)
csv.field_size_limit(10)
locale.setlocale(locale.LC_NUMERIC, "C.UTF-8")
numpy.seterr(divide="raise", under="raise")
warnings.filterwarnings("error", message="never .*", category=UserWarning)
warnings.simplefilter("ignore", ResourceWarning)
logging.basicConfig(level=logging.INFO, format="{levelname} {message}", style="{", stream=sys.stdout)
logging.getLogger("chatty").setLevel(logging.ERROR)
own = logging.getLogger("own")
own.propagate = False
own.addHandler(logging.FileHandler(HERE))
own.addHandler(logging.StreamHandler(io.StringIO()))
own.handlers[0].setFormatter(logging.Formatter("%(name)s: %(message)s"))
own.handlers[0].setLevel(logging.WARNING)

def deep(n):
    return n and 1 + deep(n - 1)
def digits(n):
    return len(str(10**n))
def third():
    return 1 / decimal.Decimal(6)
def patience():
    return socket.getdefaulttimeout(), socket.socket().timeout
def fields(text):
    return list(csv.reader([text]))
def numbers():
    return locale.setlocale(locale.LC_NUMERIC)
def divide(x):
    return numpy.float64(x) / numpy.float64(0)
def warn(text):
    warnings.warn(text)
def heard(name):
    logger = logging.getLogger(name)
    levels = [level for level in (10, 20, 30, 40) if logger.isEnabledFor(level)]
    return levels, [h.format(logging.makeLogRecord({"msg": "m", "levelname": "L"})) for h in logging.root.handlers]
def tell(text):
    own.info(text)
    own.error(text)
def change():
    decimal.getcontext().prec = 2
    logging.getLogger("chatty").setLevel(logging.DEBUG)

if __name__ == "__main__":
    with two_ways.executor() as executor:
        two_ways.say(executor, [
            (deep, 3000), (deep, 5000), (digits, 4500), (digits, 5500), (third,), (patience,), (fields, "a,b"),
            (fields, "a" * 11), (numbers,), (divide, 1), (warn, "never mind"), (heard, ""), (heard, "chatty"),
            (heard, "chatty.too"), (heard, "own"), (tell, "hello"), (change,), (third,), (heard, "chatty"),
        ])
    print(HERE.read_text())
"""


def test_what_a_script_sets_for_its_whole_process_is_set_for_its_tasks(tmp_path):
    there, here, trouble = both(script(tmp_path, SETTINGS, "own.py"))
    assert len(there) == 22
    assert here == there, trouble
