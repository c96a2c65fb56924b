"""How much each host bears and which addresses are next: pure, in virtual time."""

import heapq
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dqlab.crawl.errand import Errand, Pressure
from dqlab.crawl.frontier import MOST, TRIES, TRIES_BUSY, Frontier
from dqlab.crawl.host import FAILURES, FIRST, LONGEST_HOLD, REST
from dqlab.crawl.host import MOST as MOST_REQUESTS
from dqlab.crawl.images import Image
from dqlab.crawl.outcome import Outcome

ROOM = 1000


def errand(number, host="host", **more):
    return Errand(url=f"http://{host}/{number}.png", **more)


def good(errand, latency=0.05, **more):
    return Outcome(errand=errand, image=Image(errand.url), latency=latency, seconds=latency, **more)


def busy(errand, wait=None):
    return Outcome(errand=errand, again="429 Too Many Requests", pressure=Pressure.BUSY, wait=wait)


def away(errand):
    return Outcome(errand=errand, again="no answer within 10 s", pressure=Pressure.AWAY)


class World:
    """Workers in virtual time: `answer(errand, now)` says what a site gives to each, and after how many seconds."""

    def __init__(self, answer, workers=4, **settings):
        self.answer, self.workers = answer, workers
        self.frontier = Frontier(workers=workers, room=ROOM, most_room=10 * ROOM, **settings)
        self.now = 0.0
        self.asked = []  # when, what
        self.settled = {}  # by address: when, what
        self.most = 0  # requests at a time

    def run(self, until=10_000.0):
        """Go on until nothing is left; return the seconds that took."""
        under_way, order, ends = [], itertools.count(), []
        workers = [0.0] * self.workers  # when each is free
        while (self.frontier.waiting or under_way) and self.now < until:
            while len(under_way) < 2 * self.workers and (handful := self.frontier.handful(self.now, 10**9)):
                begin = max(self.now, heapq.heappop(workers))
                lanes = {host: [begin] * slots for host, slots in handful.slots.items()}
                outcomes = []
                for errand in handful.errands:
                    lane = lanes[errand.target.split("/")[2]]
                    at = heapq.heappop(lane)
                    seconds, outcome = self.answer(errand, at)
                    self.asked.append((at, errand.target))
                    ends += [(at, 1), (at + seconds, -1)]
                    heapq.heappush(lane, at + seconds)
                    outcomes.append(outcome)
                end = max(max(lane) for lane in lanes.values())
                heapq.heappush(workers, end)
                heapq.heappush(under_way, (end, next(order), handful, outcomes))
            self.settle(self.frontier.given_up())
            if not self.frontier.waiting and not under_way:
                break
            turn = self.now + self.frontier.next_turn(self.now)
            if under_way and (turn == self.now or under_way[0][0] <= turn):
                self.now, _, handful, outcomes = heapq.heappop(under_way)
                self.settle(self.frontier.back(handful, outcomes, self.now))
                self.settle(self.frontier.given_up())
            else:
                assert self.now < turn < float("inf"), "it waits for what never comes"
                self.now = turn + 1e-6
        running = 0
        for _, step in sorted(ends):
            running += step
            self.most = max(self.most, running)
        return self.now

    def settle(self, outcomes):
        for outcome in outcomes:
            assert outcome.errand.url not in self.settled
            self.settled[outcome.errand.url] = self.now, outcome

    def failed(self):
        return {url: outcome.again for url, (_, outcome) in self.settled.items() if outcome.again}


def crowd(world, count, host="host", **more):
    for number in range(count):
        world.frontier.add(errand(number, host, **more))
    return world


@pytest.mark.parametrize("workers", [2, 4, 16])
def test_a_slow_web_is_filled(workers):
    world = crowd(World(lambda errand, now: (0.05, good(errand)), workers), 3000)

    seconds = world.run()

    assert len(world.settled) == 3000
    assert 3000 / seconds > 650
    assert world.most <= MOST_REQUESTS


def test_it_begins_with_few_and_doubles_each_second():
    world = crowd(World(lambda errand, now: (0.05, good(errand))), 3000)
    world.run()

    def between(begin, end):
        return sum(begin <= at < end for at, _ in world.asked) * 0.05 / (end - begin)

    assert between(0, 0.3) <= FIRST + 2
    assert between(0, 1) <= 2 * FIRST
    assert 2 * FIRST <= between(2, 3) <= 8 * FIRST


def test_a_host_whose_answers_become_slower_gets_no_more():
    """It serves a hundred a second: more at a time only makes each wait longer."""
    clock = [0.0]

    def answer(errand, now):
        clock[0] = max(clock[0], now) + 0.01
        latency = clock[0] - now + 0.02
        return latency, good(errand, latency)

    world = crowd(World(answer), 3000)

    assert 3000 / world.run() > 90
    assert world.most < MOST_REQUESTS


@pytest.mark.parametrize("number", [3, 5, 7, 11])
def test_per_host_fixes_the_number(number):
    """All of it is used, also where it can't be divided by the four workers."""
    world = crowd(World(lambda errand, now: (0.05, good(errand)), per_host=number), 600)

    seconds = world.run()

    assert world.most == number
    assert seconds == pytest.approx(600 * 0.05 / number, rel=0.1)


@pytest.mark.parametrize("asked_for", ["by the user", "by robots.txt"])
def test_a_delay_holds_between_two_requests(asked_for):
    delays = {"delay": 0.5} if asked_for == "by the user" else {}
    said = 0.0 if delays else 0.5
    world = crowd(World(lambda errand, now: (0.05, good(errand, delay=said)), **delays), 10)
    world.run()

    times = sorted(at for at, _ in world.asked)
    assert min(later - earlier for earlier, later in itertools.pairwise(times)) >= 0.45


def test_a_host_that_has_too_much_to_do_is_held_in_full_and_gets_half():
    refused = []

    def answer(errand, now):
        if errand.target.endswith("/20.png") and not refused:
            refused.append(now)
            return 0.05, busy(errand, wait=30.0)
        return 0.05, good(errand)

    world = crowd(crowd(World(answer), 200), 200, host="other")
    world.run()

    [when] = refused
    pause = [at for at, url in world.asked if "//host/" in url and when + 0.5 < at < when + 30]
    others = [at for at, url in world.asked if "//other/" in url and when + 0.5 < at < when + 30]
    assert not pause and others
    assert not world.failed()
    assert world.frontier.lines["host"].host.limit < 2 * FIRST


def test_answers_of_one_moment_halve_once():
    world = World(lambda errand, now: (0.05, good(errand)))
    world.frontier.add(errand(0))
    world.run()
    crowd(world, 8)
    handfuls = [world.frontier.handful(world.now, 10**9) for _ in range(4)]

    for handful in handfuls:
        world.frontier.back(handful, [busy(one, wait=1.0) for one in handful.errands], world.now + 0.05)

    assert world.frontier.lines["host"].host.limit == FIRST / 2


def test_one_address_that_is_always_refused_is_given_up_alone():
    world = crowd(World(lambda one, now: (0.05, busy(one, 0.1) if "/7.png" in one.url else good(one))), 100)
    world.run()

    assert world.failed() == {"http://host/7.png": "429 Too Many Requests"}
    assert sum("/7.png" in url for _, url in world.asked) == TRIES_BUSY
    assert world.frontier.attempts("http://host/7.png") == TRIES_BUSY


def test_what_was_to_be_tried_again_is_settled_when_its_host_is_given_up():
    world = crowd(World(lambda errand, now: (0.01, busy(errand, wait=LONGEST_HOLD + 1 if now > 1 else 1))), 40)
    world.run()
    for number in range(40, 50):  # what turns up later
        world.frontier.add(errand(number))
    world.run()

    assert len(world.settled) == len(world.failed()) == 50
    assert world.frontier.waiting == 0


@pytest.mark.parametrize("count", [1, 10_000])
def test_a_silent_host_is_given_up_within_two_minutes(count):
    world = crowd(World(lambda errand, now: (10.0, away(errand))), count)

    assert world.run() < 120
    assert len(world.settled) == count
    assert len(set(world.failed().values())) <= 2
    assert len(world.asked) <= TRIES + FAILURES


@pytest.mark.parametrize("silent", [1, 3, 8])
def test_some_silent_addresses_do_not_cost_the_others_their_host(silent):
    """Though they come first but one, and each is tried several times."""

    def answer(errand, now):
        return (10.0, away(errand)) if 1 <= int(errand.url[12:-4]) <= silent else (0.05, good(errand))

    world = crowd(World(answer), 500)

    assert world.run() < 240
    assert len(world.failed()) == silent


def test_what_waits_for_a_task_of_its_own_is_given_up_with_its_host():
    def answer(errand, now):
        tried.append(errand.url)
        return 10.0, away(errand) if tried.count(errand.url) > 1 else Outcome(errand=errand, alone=True, size=ROOM)

    tried = []
    world = crowd(World(answer), 500)

    assert world.run() < 200
    assert len(world.settled) == 500
    assert world.frontier.waiting == 0


def test_a_host_that_goes_down_half_way_does_not_hold_up_the_others():
    def answer(errand, now):
        return (10.0, away(errand)) if "//host/" in errand.url and now > 1 else (0.05, good(errand))

    world = crowd(crowd(World(answer), 10_000), 500, host="other")

    assert world.run() < 120
    assert max(at for at, url in world.asked if "//other/" in url) < 40
    assert all("//host/" in url for url in world.failed())
    assert len(world.settled) == 10_500


def test_a_host_that_comes_back_after_a_rest_loses_nothing():
    def answer(errand, now):
        return (0.01, away(errand)) if 1 < now < 1 + REST / 2 else (0.05, good(errand))

    world = crowd(World(answer), 2000)
    world.run()

    assert len(world.failed()) <= 2 * MOST_REQUESTS
    assert len(world.settled) == 2000


def test_a_host_that_wants_to_be_left_alone_for_an_hour_is():
    world = crowd(World(lambda errand, now: (0.05, busy(errand, 3600.0))), 100)

    assert world.run() < LONGEST_HOLD
    assert {why for why in world.failed().values() if "3600 s" in why}
    assert len(world.asked) == 1
    world.frontier.add(errand(1000))  # one that is found later
    assert len(world.frontier.given_up()) == 1 and world.frontier.waiting == 0


def test_what_was_not_begun_waits_at_the_front():
    frontier = Frontier(workers=1, room=ROOM, most_room=ROOM)
    for number in range(9):
        frontier.add(errand(number))
    first = frontier.handful(0.0, ROOM)
    frontier.back(first, [good(one) for one in first.errands], 0.1)
    handful = frontier.handful(0.2, ROOM)
    begun, *others = handful.errands

    assert frontier.back(handful, [good(begun)], 0.3) == [good(begun)]
    assert frontier.handful(0.4, ROOM).errands[: len(others)] == tuple(others)


def test_what_needs_more_room_is_fetched_alone_and_when_there_is_room():
    frontier = Frontier(workers=1, room=ROOM, most_room=10 * ROOM)
    frontier.add(errand(1))
    handful = frontier.handful(0.0, ROOM)
    [one] = handful.errands

    assert frontier.back(handful, [Outcome(errand=one, alone=True, size=5 * ROOM)], 0.1) == []
    assert frontier.handful(0.2, 4 * ROOM) is None
    alone = frontier.handful(0.3, 5 * ROOM)
    assert (alone.errands, alone.alone, alone.room) == ((one,), True, 5 * ROOM)
    assert frontier.lost(alone) == [one]


def test_what_has_all_the_room_that_there_is_gets_no_more():
    frontier = Frontier(workers=1, room=ROOM, most_room=10 * ROOM)
    frontier.add(errand(1))
    handful = frontier.handful(0.0, ROOM)
    [one] = handful.errands
    frontier.back(handful, [Outcome(errand=one, alone=True, size=ROOM)], 0.1)  # for want of time
    handful = frontier.handful(0.2, ROOM)
    frontier.back(handful, [Outcome(errand=one, alone=True)], 0.3)  # and now of room
    handful = frontier.handful(0.4, 10 * ROOM)
    last = Outcome(errand=one, image=Image(one.url, error="too large"), alone=True)

    assert handful.room == 10 * ROOM
    assert frontier.back(handful, [last], 0.5) == [last]


def test_a_task_that_failed_is_taken_apart():
    frontier = Frontier(workers=1, room=ROOM, most_room=10 * ROOM)
    frontier.add(errand(0))
    handful = frontier.handful(0.0, ROOM)
    frontier.back(handful, [good(handful.errands[0])], 0.1)
    for number in (1, 2, 3):
        frontier.add(errand(number))
    handful = frontier.handful(0.2, ROOM)

    assert len(handful.errands) == 3
    assert frontier.lost(handful) == []
    singles = [frontier.handful(0.3, ROOM) for _ in handful.errands]
    assert [single.errands for single in singles] == [(one,) for one in handful.errands]
    assert all(single.alone for single in singles)


def test_a_redirect_to_another_host_waits_there():
    def answer(errand, now):
        return 0.05, good(errand) if errand.place else Outcome(errand=errand, moved="http://other/x", hops=1)

    world = crowd(World(answer), 1)
    world.run()

    assert [url for _, url in world.asked] == ["http://host/0.png", "http://other/x"]
    assert list(world.settled) == ["http://host/0.png"]


def test_many_hosts_share_a_handful():
    frontier = Frontier(workers=4, room=ROOM, most_room=ROOM)
    for number in range(100):
        frontier.add(errand(0, f"host{number}"))

    handful = frontier.handful(0.0, ROOM)

    assert len(handful.errands) == MOST
    assert set(handful.slots.values()) == {1}


@given(st.lists(st.sampled_from(["good", "busy", "away", "gone", "slow"]), min_size=1, max_size=60), st.integers(1, 5))
def test_whatever_hosts_do_each_address_is_settled_once(kinds, workers):
    def answer(errand, now):
        kind = kinds[(int(errand.url.split("/")[3].split(".")[0]) + int(now * 7)) % len(kinds)]
        return {
            "good": (0.05, good(errand)),
            "busy": (0.02, busy(errand)),
            "away": (1.0, away(errand)),
            "gone": (0.05, Outcome(errand=errand, image=Image(errand.url, error="404"))),
            "slow": (2.0, good(errand, 2.0)),
        }[kind]

    world = World(answer, workers)
    for number in range(60):
        world.frontier.add(errand(number, f"host{number % 3}", page=number % 5 == 0))
    world.run()

    assert len(world.settled) == 60
    assert (world.frontier.waiting, [line.host.out for line in world.frontier.lines.values()]) == (0, [0, 0, 0])
