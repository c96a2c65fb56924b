"""The globals of one client's functions, in the process of its tasks: shared, as those of a module are.

Each function brings what its globals are at the client. One that is the same as before stays what tasks have made of
it (`global model; model = model or load()`), whichever function brings it; one that has changed there is set anew.
"""

from __future__ import annotations

import io
import pickle
import re
import sys
import types
from collections.abc import Iterable
from functools import partial
from typing import Any
from weakref import ReferenceType, WeakSet, WeakValueDictionary, ref

from dqlab.wire import arrivals, local_code
from dqlab.wire.local_code import StandIn, describe, globals_in, names_in, show, stand_in
from dqlab.wire.messages import ATOMS

__all__ = ["ClientNames", "Shared", "load_values", "names_of"]

#: module and name
Key = tuple[str, str]
#: in the place of a digest: it has been deleted at the client
_GONE = object()
#: stands in every pickle in which a function goes by value
_CODE = re.compile(local_code.set_function.__name__.encode())


class Shared:
    """What the copies of a callable share, and other callables for which it is the same."""

    def __init__(self, names: ClientNames) -> None:
        self.names = names
        self.values: list[Any] = []
        self.brought: dict[Key, tuple[Any, Any]] = {}  #: digests and values of the globals of its functions
        self.digests: dict[int, Any] = {}  #: of these values, by their ids
        self.coming: dict[Key, Any] = {}  #: what has been loaded of these so far, perhaps by halves


class ClientNames:
    """The modules of one client, as far as its functions reach into them."""

    def __init__(self) -> None:
        self._modules: dict[str, StandIn] = {}
        self._there: dict[Key, Any] = {}  #: the digests of what was brought last
        self._users: WeakSet[Shared] = WeakSet()
        self._known: set[Key] = set()  #: what some of these use
        self._last: ReferenceType[Any] = ref(self)  #: to whose globals are in place
        self._main = _Main(self.module({"__name__": "__main__"}))

    def module(self, about: dict[str, Any]) -> StandIn:
        """The one module of this name."""
        found = self._modules.setdefault(about["__name__"], stand_in(about))
        describe(found, about)
        return found

    def load(self, data: bytes) -> Shared:
        """Unpickle what all copies of a callable share."""
        shared = Shared(self)
        self._users.add(shared)
        shared.values = self._load(shared, data)
        used = {key for user in self._users for key in user.brought}
        for module, name in self._known - used:  # no function reaches it any more
            if not name.startswith("__"):  # `__name__` is the module's own
                vars(self._modules[module]).pop(name, None)
            self._there.pop((module, name), None)
        self._known, self._last = used, ref(self)
        return shared

    def load_values(self, data: bytes) -> Any:
        """Unpickle what a task is given: functions among that share the globals of their modules with all others."""
        self._last = ref(self)
        return self._load(Shared(self), data)

    def _load(self, shared: Shared, data: bytes) -> Any:
        values = _Unpickler(shared, data).load()
        for (module, name), value in shared.coming.items():
            self.set_global(shared, module, name, value)
        shared.coming.clear()
        return values

    def use(self, shared: Shared) -> None:
        """What is in `shared` is called next: its globals are what it has brought, or what tasks have made of that."""
        global _in_use
        sys.modules["__main__"], _in_use = self._main, self
        for found in self._modules.values():
            if found.__name__ != "__main__" and sys.modules.get(found.__name__) is not found:
                show(found)
        if shared is self._last():
            return
        self._last = ref(shared)
        for key, (digest, value) in shared.brought.items():
            self._put(key, digest, value)

    def _put(self, key: Key, digest: Any, value: Any) -> Any:
        """Set a global, unless what is there was brought as the same; return what is there then."""
        names = vars(self._modules[key[0]])
        if self._there.get(key) != digest:
            names[key[1]], self._there[key] = value, digest
            if digest is _GONE:
                del names[key[1]]
        return names.get(key[1], value)

    # -- how what is loaded finds its place -------------------------------------------------------------------------

    def set_function(self, shared: Shared, function: types.FunctionType, state: tuple[Any, ...]) -> None:
        """As `local_code.set_function` does it, for one of several functions of its module."""
        setter, (attributes, slots), reached = state
        home = self._modules.get(function.__globals__.get("__name__", ""))
        if home is None or vars(home) is not function.__globals__:
            local_code.set_function(function, state)
            return
        setter(function, (attributes, {**slots, "__globals__": {}}))
        modules: list[tuple[StandIn, dict[str, Any], Iterable[str]]] = [
            (home, slots["__globals__"], globals_in(function.__code__)),
            *((module, names, names_in(function.__code__)) for module, names in reached),
        ]
        for module, names, used in modules:
            if self._modules.get(module.__name__) is not module:
                vars(module).update(names)
                continue
            for name, value in names.items():
                shared.coming[module.__name__, name] = value
                vars(module).setdefault(name, value)  # while the rest is loaded
            for key in {(module.__name__, name) for name in used if name not in names} & self._there.keys():
                shared.brought[key] = _GONE, self._put(key, _GONE, None)

    def set_global(self, shared: Shared, module: str, name: str, value: Any) -> Any:
        """A global of a module has come; return what it is here."""
        key, digest = (module, name), shared.digests.get(id(value)) or arrivals.digest(value)
        self.module({"__name__": module})
        here = self._put(key, digest, value)
        shared.brought[key] = digest, here
        if type(here) not in ATOMS:
            shared.digests[id(here)] = digest
        return here

    def brought_global(self, shared: Shared, module: StandIn, name: str, value: Any) -> Any:
        """The same for one that stands somewhere else, too, or is needed early."""
        if self._modules.get(module.__name__) is not module:
            return local_code.brought_global(module, name, value)
        return self.set_global(shared, module.__name__, name, value)

    def set_class(self, shared: Shared, cls: type, state: tuple[Any, ...]) -> None:
        """As `arrivals.set_class` does it; `state` says whether it is a global of its module."""
        arrivals.set_class(cls, state)
        if state[-1]:
            self.set_global(shared, cls.__module__, cls.__qualname__, cls)


class _Unpickler(pickle.Unpickler):
    def __init__(self, shared: Shared, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        names = shared.names
        self._places = {
            (local_code.__name__, "client_module"): names.module,
            (local_code.__name__, "set_function"): partial(names.set_function, shared),
            (local_code.__name__, "brought_global"): partial(names.brought_global, shared),
            (local_code.__name__, "named_global"): partial(names.brought_global, shared),
            (arrivals.__name__, "set_class"): partial(names.set_class, shared),
        }

    def find_class(self, module: str, name: str) -> Any:
        return self._places.get((module, name)) or super().find_class(module, name)


class _Main(types.ModuleType):
    """`__main__`, for a task that asks for it and for its `pickle`: what has come of the client's.

    It has no `__file__`, by which `multiprocessing` would run the client's program.
    """

    def __init__(self, module: StandIn) -> None:
        super().__init__("__main__")
        object.__setattr__(self, "_dqlab_module", module)

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        return vars(self._dqlab_module)

    def __getattr__(self, name: str) -> Any:
        if name == "__file__":  # `multiprocessing` asks for it before it starts a fresh process
            from dqlab.worker.nested_processes import send_main_by_value  # as heavy as `multiprocessing` is

            send_main_by_value()
        found = vars(self._dqlab_module).get(name, self)
        if found is self or name.startswith("__"):
            found = local_code.latest_class("__main__", name)
        if found is None:
            raise AttributeError(f"module '__main__' has no attribute {name!r}: the task has brought none")
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._dqlab_module, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._dqlab_module, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *vars(self._dqlab_module)})


#: whose task is run
_in_use: ClientNames | None = None
#: by client; kept by what its functions share
_names: WeakValueDictionary[str, ClientNames] = WeakValueDictionary()


def names_of(client: str) -> ClientNames:
    """The names of a client, as long as a function of its is here."""
    return _names.setdefault(client, ClientNames())


def load_values(data: bytes) -> Any:
    """Unpickle what a task is given."""
    return pickle.loads(data) if _in_use is None or _CODE.search(data) is None else _in_use.load_values(data)
