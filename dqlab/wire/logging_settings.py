"""How a program has configured `logging`, as far as another process can do the same: levels, and handlers that write to
standard error, standard output or a file."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from typing import Any

from dqlab.wire.local_code import is_local_module

__all__ = ["configure", "described", "glance"]

#: the names of the loggers that `configure` has set last
_configured: set[str] = set()


def glance() -> tuple[Any, ...]:
    """What changes when somebody configures the root logger."""
    return logging.root.level, tuple(logging.root.handlers)


def described() -> tuple[Any, ...]:
    """The configuration as plain data: below which level all is off, and each logger that isn't as it was made."""
    return logging.root.manager.disable, tuple(_each())


def _each() -> Iterator[Any]:
    for name, logger in [("", logging.root), *logging.root.manager.loggerDict.items()]:
        if isinstance(logger, logging.Logger):
            handlers = () if _is_a_library(name) else tuple(filter(None, map(_describe, logger.handlers)))
            if logger is logging.root or logger.level or handlers or not logger.propagate or logger.disabled:
                yield name, logger.level, logger.propagate, logger.disabled, handlers


def _is_a_library(name: str) -> bool:
    """Whether a logger's handlers are made where its library is imported."""
    owner = name.partition(".")[0]
    return owner in sys.modules and not is_local_module(owner)


def _describe(handler: logging.Handler) -> Any:
    """A handler, by what it writes to; None of kinds that mean something in their process only."""
    layout = handler.formatter
    style: Any = None
    if type(layout) is logging.Formatter:
        style = layout._fmt, layout.datefmt, getattr(layout, "_style").default_format[0]  # noqa: B009
    if isinstance(handler, logging.FileHandler):
        return (handler.baseFilename, handler.level, style) if type(handler) is logging.FileHandler else None
    if type(handler) is not logging.StreamHandler:
        return None
    names = (name for name in ("stderr", "stdout") if handler.stream in (vars(sys)[name], vars(sys)[f"__{name}__"]))
    stream = next(names, None)
    return stream and (stream, handler.level, style)


def configure(value: tuple[Any, ...]) -> None:
    """Make a configuration that was described that of this process, in the place of the last one."""
    disable, loggers = value
    logging.disable(disable)
    new: dict[str, Any] = {name: rest for name, *rest in loggers}
    for name in {*_configured, *new}:
        level, propagate, disabled, handlers = new.get(name, (logging.NOTSET, True, False, ()))
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.propagate, logger.disabled = propagate, disabled
        if not _is_a_library(name):
            for handler in [each for each in logger.handlers if _describe(each) is not None]:
                logger.removeHandler(handler)
                handler.close()
            for each in filter(_is_possible, handlers):
                logger.addHandler(_make(*each))
    _configured.clear()
    _configured.update(new)


def _is_possible(handler: Any) -> bool:
    """Whether what a handler writes to can be had here; a task that logs isn't to fail on a machine without it."""
    target = handler[0]
    if target in ("stderr", "stdout"):
        return True
    return os.access(target if os.path.exists(target) else os.path.dirname(target), os.W_OK)


def _make(target: str, level: int, style: Any) -> logging.Handler:
    handler: logging.Handler
    if target in ("stderr", "stdout"):
        handler = logging.StreamHandler(vars(sys)[target])
    else:
        handler = logging.FileHandler(target, "a", delay=True)
    handler.setLevel(level)
    if style is not None:
        with contextlib.suppress(ValueError):
            handler.setFormatter(logging.Formatter(*style))
    return handler
