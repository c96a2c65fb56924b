"""What the broker remembers of each client: its runs, and the results that wait for it. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict, deque
from collections.abc import Iterable
from hmac import compare_digest

from dqlab.broker.change_listener import ChangeListener
from dqlab.broker.tasks import Run, Span
from dqlab.errors import Refused

__all__ = ["CLIENT_IDS", "Client", "Clients"]

#: task ids of one client; its number times this is its first id
CLIENT_IDS = 10**12
#: seconds after which a client that went, and of whose tasks nothing is left, is forgotten
AWAY_SECONDS = 3600.0
#: forgotten clients of which the last task id is remembered, in case they come back
COME_BACK = 100_000


class Client:
    """A client that has submitted something: its runs, and the results that wait for it.

    Whoever knows its `token` is this client; the number alone, which anybody can guess, is no identity.
    """

    def __init__(self, number: int, token: bytes, last: int | None = None) -> None:
        self.number, self.token = number, token
        self.first = number * CLIENT_IDS + 1  #: its first task id
        self.last = self.first - 1 if last is None else last  #: the highest id accepted
        self.connected = True
        self.plain = False  #: whether this is the plain pair, whose results go to a queue
        self.outbox: deque[tuple[int, Span]] = deque()  #: (serial, finished span), until the client has it
        self.serial = 0
        self.unread = 0  #: bytes in the outbox
        self.left = 0.0  #: when it disconnected
        self.collector: object = None  #: the connection on which it fetches results
        self._runs: dict[int, Run] = {}
        self._firsts: list[int] = []

    @property
    def has_runs(self) -> bool:
        """Whether anything that it has submitted is remembered."""
        return bool(self._runs)

    def remember(self, run: Run) -> None:
        """A run of the client's."""
        self.last = run.first + run.count - 1
        self._runs[run.first] = run
        insort(self._firsts, run.first)  # almost always at the end

    def run_of(self, task: int) -> Run | None:
        """The run that holds a task, None if it is forgotten."""
        i = bisect_right(self._firsts, task) - 1
        return self._runs.get(self._firsts[i]) if i >= 0 else None

    def spans_in(self, first: int, count: int) -> list[Span]:
        """The spans that hold some of the tasks `first` .. `first + count - 1`."""
        start, stop = bisect_right(self._firsts, first) - 1, bisect_left(self._firsts, first + count)
        runs = [self._runs[f] for f in self._firsts[max(0, start) : stop] if f in self._runs]
        return [span for run in runs for span in run.spans_in(first - run.first, first - run.first + count)]

    def gaps_in(self, first: int, count: int) -> list[tuple[int, int]]:
        """Those of the tasks that were accepted and are forgotten, as [lo, hi) behind `first`."""
        at, end, gaps = 0, min(count, self.last + 1 - first), []
        for span in self.spans_in(first, count):
            lo = span.first - first
            if lo > at:
                gaps.append((at, lo))
            at = lo + len(span)
        return [*gaps, (at, end)] if end > at else gaps

    def take_back(self, spans: Iterable[Span]) -> list[Span]:
        """Take those of the spans that are there out of the outbox: they are not final any more."""
        wanted = set(map(id, spans))
        found = [span for _, span in self.outbox if id(span) in wanted]
        if found:
            self.outbox = deque(item for item in self.outbox if id(item[1]) not in wanted)
        return found

    def forget(self, span: Span) -> None:
        """Drop a finished span, and its run with the last one."""
        run = span.run
        if run.drop(span) and not run.spans:
            self._runs.pop(run.first, None)
            if len(self._firsts) > 2 * len(self._runs) + 64:
                self._firsts = list(self._runs)


class Clients(dict[int, Client]):
    """The clients by number. Who went for good is forgotten, except for its number, its token and its last task id."""

    def __init__(self) -> None:
        super().__init__()
        self._opened = 0
        self.changes: ChangeListener | None = None  #: who hears of it, where there is a journal
        self._left: deque[tuple[float, int]] = deque()  #: who disconnected when
        self._forgotten: OrderedDict[int, tuple[bytes, int]] = OrderedDict()  #: token and last task id by number

    def open(self, token: bytes = b"") -> Client:
        """A new client, which nobody else can be who does not know the `token`."""
        client = self[self._opened] = Client(self._opened, token)
        self._opened += 1
        if self.changes is not None:
            self.changes.client(client.number)
        return client

    def take_up(self, client: Client) -> None:
        """A client of an earlier life of the master."""
        self[client.number] = client
        self._opened = max(self._opened, client.number + 1)

    def find(self, number: int, token: bytes, now: float) -> Client:
        """The client with this number and token, also one that was away for so long that it was forgotten."""
        known, last = self._forgotten.get(number, (b"", None))
        client = self.get(number)
        if not compare_digest(client.token if client else known, token) or not token:
            raise Refused(f"there is no client {number!r} with that token", "connect(...) anew")
        if client is None:
            client = self[number] = Client(number, token, last)
            del self._forgotten[number]
            self.disconnect(client, now)  # until it says that it is back
        return client

    def disconnect(self, client: Client, now: float) -> None:
        """The client is away."""
        client.connected, client.left = False, now
        self._left.append((now, client.number))

    def forget(self, now: float) -> None:
        """Forget those that have been away for long."""
        while self._left and now - self._left[0][0] > AWAY_SECONDS:
            left, number = self._left.popleft()
            client = self.get(number)
            if client is None or client.connected or client.left != left:
                continue  # it has come back since, or was looked at already
            if client.has_runs:
                self.disconnect(client, now)  # look again later
                continue
            del self[number]
            self._forgotten[number] = client.token, client.last
            if len(self._forgotten) > COME_BACK:
                gone, _ = self._forgotten.popitem(last=False)
                if self.changes is not None:
                    self.changes.client_gone(gone)
