# every plain value goes out and comes home as it was
import datetime, decimal, fractions, pathlib, uuid
from multiprocessing.managers import BaseManager, RemoteError

class QueueManager(BaseManager): pass
QueueManager.register('get_task_queue'); QueueManager.register('get_result_queue')
m = QueueManager(address=('127.0.0.1', 5000), authkey=b'abc'); m.connect()
task, result = m.get_task_queue(), m.get_result_queue()

zone = datetime.timezone(datetime.timedelta(hours=2), 'here')
values = [
    None, True, False, 0, -1, 2 ** 100, 1.5, float('inf'), 1 + 2j, '', 'h\xe9llo \u4e16 \U0001f600', b'', b'\x00\xff',
    bytearray(b'abc'), [], [1, [2, [3]]], (), (1,), (1, 2, 3, 4), {}, {'a': {'b': 1}, (1, 2): 3}, set(), {1, 'a'},
    frozenset(), frozenset([1, 2]), datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29, 12, 30, 1, 5),
    datetime.datetime(2024, 2, 29, tzinfo=zone), datetime.datetime(2024, 2, 29, tzinfo=datetime.timezone.utc),
    datetime.time(1, 2, 3), datetime.timedelta(days=-3, microseconds=7), zone, decimal.Decimal('1.50'),
    decimal.Decimal('-Infinity'), fractions.Fraction(-2, 3),
    uuid.UUID('12345678123456781234567812345678'), pathlib.PurePosixPath('/a/b'), pathlib.PureWindowsPath('c:/x'),
    pathlib.Path('a/b.txt'), 'x' * 100000, list(range(10000)),
]
for value in values:
    task.put(value)
    home = task.get(timeout=5)
    assert type(home) is type(value) and home == value, (value, home)
    result.put(value)
    home = result.get(timeout=5)
    assert type(home) is type(value) and home == value, (value, home)

class Thing: pass
class Text(str): pass
class Number(int): pass

text = Text('hi')  # as parsers give it, with what it was found in
text.found_in = [Thing(), Text, {'kinds': (int, Thing)}, ValueError('x')]
for value, plain in ((text, 'hi'), ([{text: Number(3)}], [{'hi': 3}])):
    for queue in (task, result):
        queue.put(value)
        home = queue.get(timeout=5)
        assert repr(home) == repr(plain), home

for value in (Thing(), Thing, decimal.Decimal, complex, print, ValueError('x'), slice(3), datetime.tzinfo()):
    for queue in (task, result):
        try:
            queue.put(value)
        except RemoteError as exc:
            print('refused:', str(exc).strip().splitlines()[-2])
        else:
            raise AssertionError(value)
assert task.qsize() == result.qsize() == 0
