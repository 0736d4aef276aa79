"""Plugins of one's own: a module on the path, or a file, that `pluginConfig` names in the plugin's arguments.

    pluginConfig:
    - {name: Mine, args: {module: ./mine.py}}

The module has a class whose `name` is the plugin's; what it takes part in is what methods it has. docs/scheduling.md
builds one.
"""

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from scheduler.framework import Handle, Plugin

MODULE: Final = "module"
Factory = Callable[[Handle, Mapping[str, Any]], Plugin]


class BadPlugin(Exception):
    """A plugin that cannot be loaded; the text says where the mistake is."""


def factory(name: str, args: Mapping[str, Any], points: Mapping[str, type[Any]]) -> Factory:
    """What makes the plugin; the file is read anew each time. Raises BadPlugin."""
    source = str(args[MODULE])
    module = _load(name, source)
    classes: list[Any] = [
        one for one in vars(module).values() if inspect.isclass(one) and one.__module__ == module.__name__
    ]
    found = next((one for one in classes if getattr(one, "name", None) == name), None)
    if found is None:
        others = ", ".join(sorted(str(one.name) for one in classes if getattr(one, "name", ""))) or "none"
        raise BadPlugin(f'plugin "{name}": {source} has no class with name = "{name}" (its plugins: {others})')

    def make(handle: Handle, args: Mapping[str, Any]) -> Plugin:
        given = (handle, args)[: _positions(found)]
        try:
            plugin: Any = found(*given)
        except Exception as problem:  # somebody else's code: whatever it raises is about the plugin
            raise BadPlugin(f'plugin "{name}": {_place(problem, source)}{problem!r}') from problem
        if not any(isinstance(plugin, protocol) for protocol in points.values()):
            raise BadPlugin(f'plugin "{name}": {source}: class {found.__name__} has no method of any extension point')
        made: Plugin = plugin
        return made

    return make


def file_of(args: Mapping[str, Any]) -> Path | None:
    """The file to watch for changes; None for a module that is not there yet."""
    source = str(args.get(MODULE) or "")
    if _is_path(source):
        return Path(source)
    origin = getattr(sys.modules.get(source), "__file__", None)
    return Path(origin) if origin else None


def _load(name: str, source: str) -> ModuleType:
    try:
        if not _is_path(source):
            module = importlib.import_module(source)
            return importlib.reload(module)
        spec = importlib.util.spec_from_file_location(f"skiff_plugin_{Path(source).stem}", source)
        if spec is None or spec.loader is None:
            raise BadPlugin(f'plugin "{name}": {source} is no Python file')
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    except SyntaxError as problem:
        raise BadPlugin(f'plugin "{name}": {problem.filename}, line {problem.lineno}: {problem.msg}') from problem
    except BadPlugin:
        raise
    except Exception as problem:  # somebody else's code: whatever it raises is about the plugin
        raise BadPlugin(f'plugin "{name}": {_place(problem, source)}{problem!r}') from problem
    return module


def _is_path(source: str) -> bool:
    return source.endswith(".py") or "/" in source


def _place(problem: Exception, source: str) -> str:
    """`FILE, line N: ` of the last line of the plugin's own that was being run."""
    frames = traceback.extract_tb(problem.__traceback__)
    stem = Path(source).stem if _is_path(source) else source.rpartition(".")[2]
    own = [frame for frame in frames if Path(frame.filename).stem == stem]
    return f"{own[-1].filename}, line {own[-1].lineno}: " if own else f"{source}: "


def _positions(found: type[Any]) -> int:
    """How many of (handle, args) the class wants."""
    if found.__init__ is object.__init__:
        return 0
    parameters = list(inspect.signature(found).parameters.values())
    return min(2, sum(one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) for one in parameters))
