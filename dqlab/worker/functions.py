"""The functions that the child was sent: each is loaded once, what was submitted with it anew for each task."""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any
from weakref import WeakValueDictionary

from dqlab.wire.bounded_cache import BoundedCache
from dqlab.wire.envelope import PYTHON, Envelope
from dqlab.wire.local_code import Namespace
from dqlab.wire.messages import FUNCTION_BYTES
from dqlab.worker.client_modules import ClientModules
from dqlab.worker.client_names import Shared, names_of

__all__ = ["Function", "Functions"]


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, shared: list[Any]) -> None:
        super().__init__(io.BytesIO(data))
        self._shared = shared

    def find_class(self, module: str, name: str) -> Any:
        if name == Namespace.__name__ and module == Namespace.__module__:
            return self._shared
        return super().find_class(module, name)


class _Copies:
    """A callable of which each call has a copy."""

    def __init__(self, pickled: bytes, shared: Shared) -> None:
        self._pickled, self.shared = pickled, shared

    def load(self) -> Callable[..., Any]:
        return _Unpickler(self._pickled, self.shared.values).load()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.load()(*args, **kwargs)


class Function:
    """A callable as it was submitted."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._copies: _Copies | None = None  #: keeps what is shared, also of a callable that is loaded once

    @cached_property
    def envelope(self) -> Envelope:
        """What came; raises what reading it raises."""
        return Envelope.load(self._data)

    @cached_property
    def callable(self) -> Callable[..., Any]:
        """What is called for every task: the one callable, if it holds no state, or one that loads a copy each time."""
        self._copies = copies = _Copies(self.envelope.pickled, _load_shared(self.envelope))
        self.envelope, self._data = self.envelope._replace(shared=b"", pickled=b""), b""
        loaded = copies.load()  # in any case: what can't be loaded fails before the first task
        return copies if self.envelope.stateful else loaded

    def use(self) -> None:
        """Put the globals in place that it was submitted with; it has been loaded."""
        if self._copies is not None:
            self._copies.shared.names.use(self._copies.shared)


#: by client and digest
_loaded: WeakValueDictionary[tuple[str, bytes], Shared] = WeakValueDictionary()


def _load_shared(envelope: Envelope) -> Shared:
    key = envelope.client, hashlib.sha256(envelope.shared).digest()
    found = _loaded.get(key)
    if found is None:
        names = names_of(envelope.client)
        found = _loaded[key] = names.load(envelope.shared) if envelope.shared else Shared(names)
    return found


class Functions:
    """The functions by digest. The worker keeps the same book, so that it knows which of them are still here."""

    def __init__(self) -> None:
        self._kept: BoundedCache[str, Function] = BoundedCache(FUNCTION_BYTES)
        self._modules = ClientModules()

    def hold(self, digest: str, pickled: Mapping[str, bytes]) -> Function:
        """The function of the next job, which is among those sent with it, `pickled`, if it isn't here yet."""
        found = self._kept.get(digest)
        if found is None:
            found = Function(pickled[digest])
            self._kept.keep(digest, found, len(pickled[digest]))
        return found

    def suits(self, function: Function) -> bool:
        """Whether this process can run it, or at least say why it can't; else a fresh one must."""
        try:
            envelope = function.envelope
        except Exception:
            return True
        return self._modules.suits(envelope)

    def load(self, function: Function, python: str) -> Callable[..., Any]:
        """What to call for a task; raises what loading it raises."""
        if python and python != PYTHON:
            raise RuntimeError(
                f"the task was pickled by Python {python}, this worker runs Python {PYTHON}; "
                f"start workers with {python}"
            )
        self._modules.adopt(function.envelope)
        found = function.callable
        function.use()
        return found
