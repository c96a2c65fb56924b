"""Public names that a package imports when they are first used, so that `import dqlab` loads nothing heavy."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from dqlab.errors import NotInstalled

__all__ = ["Missing", "lazy_names"]


class Missing:
    """What stands for a public name while a package that it needs is not installed; using it raises `NotInstalled`."""

    def __init__(self, name: str, package: str) -> None:
        self._error = f"{name} needs {package}, which is missing", "pip install 'dqlab[lab]'"

    def __getattr__(self, attribute: str) -> Any:
        """Refuse, but for what Python itself asks of any object."""
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        self._refuse()

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise NotInstalled(*self._error)

    __call__ = __instancecheck__ = __mro_entries__ = _refuse


def lazy_names(
    package: str, homes: Mapping[str, tuple[str, ...]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the `__getattr__` and `__dir__` of a package whose public names live in its modules.

    `package` is its `__name__`; `homes` gives, by module within the package, the names to be found there. A name whose
    module needs something that only the extra `lab` installs is there too, as a `Missing`. `dir` lists `__all__`.
    """
    module_of = {name: module for module, names in homes.items() for name in names}

    def find(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            value = getattr(importlib.import_module(f"{package}.{module_of[name]}"), name)
        except ModuleNotFoundError as error:
            needed = (error.name or "").partition(".")[0]
            if needed == "dqlab":
                raise
            return Missing(name, needed)  # not kept: it may be installed by the time of the next look
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        module = sys.modules[package]
        return [*module.__all__, *(name for name in vars(module) if name.startswith("__"))]

    return find, names
