"""A script whose classes are made in unusual ways gives the same with ProcessPoolExecutor and here."""

from __future__ import annotations

from tests.cluster import script
from tests.promises.two_ways import both

SCRIPT = """
import abc
from tests.promises import two_ways

class Tagged:
    found = []
    def __init_subclass__(cls, *, tag):
        super().__init_subclass__()
        if cls.__name__ in Tagged.found:
            raise TypeError("there are two of " + cls.__name__)
        cls.tag = tag
        Tagged.found.append(cls.__name__)
class Red(Tagged, tag="red"):
    pass
class Plugin(abc.ABC):
    found = []
    def __init_subclass__(cls):
        Plugin.found.append(cls.__name__)
    @abc.abstractmethod
    def go(self): ...
class Mine(Plugin):
    def go(self):
        return "mine"
class Counting(abc.ABCMeta):
    made = []
    def __new__(meta, name, bases, names, *, by):
        meta.made.append(name)
        return super().__new__(meta, name, bases, names)
    def __init__(cls, name, bases, names, by):
        super().__init__(name, bases, names)
        cls.by = by
class Shape(metaclass=Counting, by="me"):
    @abc.abstractmethod
    def area(self): ...
class Square(Shape, by="you"):
    def area(self):
        return 9

def tag(x):
    return type(x).tag, Tagged.found
def plug(x):
    return x.go(), Plugin.found, isinstance(x, Plugin)
def area(x):
    return x.area(), x.by, Counting.made, isinstance(x, Shape)
def abstract():
    try:
        Shape()
    except TypeError as exc:
        return str(exc)
def more():
    class Blue(Tagged, tag="blue"):
        pass
    class Circle(Shape, by="her"):
        def area(self):
            return 3
    return Blue.tag, Tagged.found[-2:], Circle().area(), Counting.made[-1]

if __name__ == "__main__":
    with two_ways.executor("fork") as executor:
        for function, *args in (
            (tag, Red()), (plug, Mine()), (area, Square()), (Red,), (Square,), (abstract,), (more,), (tag, Red()),
        ):
            try:
                values = executor.submit(function, *args).result(30), *executor.map(function, *([x] for x in args))
                print(function.__name__, [type(x).__name__ if isinstance(x, Tagged | Shape) else x for x in values])
            except Exception as exc:
                print(function.__name__, repr(exc))
    print(Tagged.found, Plugin.found, Counting.made)
"""


def test_a_class_is_made_once_whatever_its_metaclass_and_its_base_do_then(tmp_path):
    there, here, trouble = both(script(tmp_path, SCRIPT, "own.py"))
    assert len(there) == 9
    assert here == there, trouble


OF_THEMSELVES = """
import dataclasses, enum, fractions, typing
from tests.promises import two_ways

FACTOR = 100
def times(x):
    return x * FACTOR
class Kept:
    def __init__(self, x):
        self.x = x
    def __getstate__(self):
        return [self.x]
    def __setstate__(self, state):
        self.x, = state
    def first(self):
        return KEPT.x
@dataclasses.dataclass(frozen=True, slots=True)
class Config:
    x: int = 1
    def merged(self):
        return DEFAULT.x + self.x + self.ONE.x
Config.ONE = Config()
class Made:
    def __init__(self, x):
        self.x = times(x)
    def __reduce__(self):
        return Made, (self.x // 100,)
    def first(self):
        return MADE.x, self.UNIT.x
class Money(int):
    def __new__(cls, amount):
        return super().__new__(cls, times(amount))
    def __getnewargs__(self):
        return int(self) // 100,
    def zero(self):
        return ZERO + self
class Point(typing.NamedTuple):
    x: int
    def there(self):
        return ORIGIN.x, ORIGIN is self.ZERO is Point.ZERO
class Hashed:
    unit = Money(1)
    def __init__(self, n):
        self.n = n
    def __hash__(self):
        return hash(self.n)
    def __eq__(self, other):
        return self.n == other.n
    def found(self):
        return Hashed(1) in SET, DICT.get(Hashed(2)), Hashed(3) in self.ALL, self.unit
class OneOfAKind:
    it = None
    def __new__(cls):
        if cls.it is None:
            cls.it = super().__new__(cls)
        return cls.it
    def me(self):
        return self is OneOfAKind() is IT
class Upper(dict):
    def __setitem__(self, key, value):
        super().__setitem__(key.upper(), value)
    def all(self):
        return UPPER
class Positive:
    def __set_name__(self, owner, name):
        self.name = "_" + name
    def __get__(self, it, owner=None):
        return self if it is None else getattr(it, self.name)
    def __set__(self, it, value):
        setattr(it, self.name, max(value, 0))
class Account:
    money = Positive()
    def __init__(self, money):
        self.money = money
    def __reduce__(self):
        return Account, (self.money,)
    def joined(self):
        return self.money + COMMON.money, vars(COMMON)
KEPT, DEFAULT, MADE, ZERO, ORIGIN = Kept(1), Config(5), Made(4), Money(1), Point(0)
Made.UNIT, Point.ZERO, Hashed.ALL = Made(1), ORIGIN, {Hashed(3): 3}
SET, DICT, IT, UPPER, COMMON = {Hashed(1)}, {Hashed(2): "two"}, OneOfAKind(), Upper(), Account(-5)
UPPER["a"] = 1

def kept():
    return Kept(3).first()
def config():
    return Config().merged(), Config.ONE == Config()
def made():
    return Made(3).first()
def money():
    return Money(2).zero()
def point():
    return Point(1).there()
def hashed():
    return Hashed(3).found()
def me():
    return OneOfAKind().me()
def upper():
    return Upper().all()
def account():
    return Account(-1).joined(), Account(3).joined()

if __name__ == "__main__":
    with two_ways.executor() as executor:
        two_ways.say(executor, [(function,) for function in (
            kept, config, made, money, point, hashed, me, upper, account, KEPT.first, DEFAULT.merged, MADE.first,
            ZERO.zero, ORIGIN.there, IT.me, COMMON.joined, made, hashed,
        )])
"""


def test_what_a_class_uses_of_itself_is_made_by_its_own_methods(tmp_path):
    there, here, trouble = both(script(tmp_path, OF_THEMSELVES, "own.py"))
    assert len(there) == 18
    assert here == there, trouble


WITH_NAMES = """
import enum, typing
from tests.promises import two_ways

class Planet(enum.Enum):
    MERCURY = 3.303e+23, 2.4397e6
    EARTH = 5.976e+24, 6.37814e6
    def __init__(self, mass, radius):
        self.mass, self.radius, self.seen = mass, radius, []
    @property
    def gravity(self):
        return 6.67300E-11 * self.mass / self.radius**2
class Coin(int, enum.Enum):
    PENNY, DIME, TEN = 1, 10, 10
    def __new__(cls, cents):
        coin = int.__new__(cls, cents)
        coin._value_, coin.label = cents, f"{cents} c"
        return coin
class Axis(bytes, enum.Enum):
    def __new__(cls, value, unit):
        axis = bytes.__new__(cls, [value])
        axis._value_, axis.unit = value, unit
        return axis
    X, Y = (0, "km"), (1, "m")
class Operation(enum.Enum):
    ADD, SUBTRACT = enum.auto(), enum.auto()
    def __call__(self, a, b):
        return a + b if self is Operation.ADD else a - b
UserId = typing.NewType("UserId", int)
class Missing:
    def __init__(self):
        self.asked = 0
    def __reduce__(self):
        return "MISSING"
    def __repr__(self):
        return f"MISSING {self.asked}"
MISSING = Missing()

def gravity(planet):
    planet.seen.append(1)
    return planet.gravity, planet is Planet.EARTH, len(Planet.EARTH.seen)
def planets():
    return [planet.mass for planet in Planet], len(Planet.EARTH.seen)
def coins():
    return [coin.label for coin in Coin], Coin.TEN is Coin(10), Coin.DIME + 1
def axis():
    return bytes(Axis.Y), Axis(1).unit, Axis.Y.value, [*Axis]
def operate():
    return Operation.ADD(1, 2), Operation.SUBTRACT(1, 2)
def user():
    return UserId(5), UserId.__name__
def missing(x=MISSING):
    return x is MISSING, MISSING
def ask():
    MISSING.asked += 1
    return MISSING.asked

if __name__ == "__main__":
    with two_ways.executor("fork") as executor:
        two_ways.say(executor, [
            (gravity, Planet.EARTH), (planets,), (coins,), (axis,), (operate,), (user,), (missing,), (missing, MISSING),
            (missing, 1), (ask,), (missing,),
        ])
        print(executor.submit(missing).result()[1] is MISSING, executor.submit(Planet, (5.976e+24, 6.37814e6)).result())
"""


def test_what_the_members_of_an_enum_hold_and_what_is_pickled_by_its_name_comes_along(tmp_path):
    there, here, trouble = both(script(tmp_path, WITH_NAMES, "own.py"))
    assert len(there) == 12
    assert here == there, trouble
