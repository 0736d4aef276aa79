"""Plugins of one's own: loaded, refused with the line, loaded again; and the page that builds one."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scheduler import config
from scheduler.config import ConfigError, Profile
from scheduler.framework import CycleState, Handle
from scheduler.reloading import Reloader
from scheduler.runtime import Runtime
from tests.scheduler import objects

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "scheduling.md").read_text()
GOOD = """
class Mine:
    name = "Mine"
    def __init__(self, handle, args):
        self.wanted = args["wanted"]
    def filter(self, state, pod, nodes):
        return nodes.named(self.wanted)
"""


def _profile(path: Path, **args: Any) -> Profile:
    return Profile.model_validate(
        {
            "plugins": {"multiPoint": {"enabled": [{"name": "Mine"}]}},
            "pluginConfig": [{"name": "Mine", "args": {"module": str(path), **args}}],
        }
    )


def _chosen(runtime: Runtime) -> str:
    nodes = objects.table(objects.node("a"), objects.node("b"))
    return runtime.choose(CycleState(), objects.pod("p"), nodes)


def test_a_file_is_a_plugin_with_its_arguments(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(GOOD)
    for wanted in ("a", "b"):
        assert _chosen(config.build(_profile(path, wanted=wanted), objects.handle())) == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("class Mine\n    name = 'Mine'\n", "mine.py, line 1: expected ':'", id="syntax"),
        pytest.param("\n\nimport nothing_like_it\n", "mine.py, line 3: ModuleNotFoundError", id="import"),
        pytest.param(
            "class Other:\n    name = 'Other'\n", 'has no class with name = "Mine" (its plugins: Other)', id="name"
        ),
        pytest.param("class Mine:\n    name = 'Mine'\n", "has no method of any extension point", id="nothing-to-do"),
        pytest.param(
            "class Mine:\n    name = 'Mine'\n    def __init__(self, handle, args):\n        args['x']\n"
            "    def filter(self, state, pod, nodes): ...\n",
            "mine.py, line 4: KeyError('x')",
            id="its-own-init",
        ),
    ],
)
def test_a_bad_plugin_is_refused_with_the_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(ConfigError) as problem:
        config.build(_profile(path), objects.handle())
    assert said in str(problem.value) and 'plugin "Mine"' in str(problem.value)


class _Scheduler:
    """What a reloader needs of one."""

    def __init__(self) -> None:
        self.runtimes: list[Runtime] = []

    def use(self, runtime: Runtime) -> None:
        """Keep it."""
        self.runtimes.append(runtime)


async def test_a_changed_file_is_loaded_again_and_a_broken_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(GOOD)
    profile, scheduler = _profile(path, wanted="a"), _Scheduler()
    nobody: Any = scheduler
    handle: Handle = objects.handle()
    reloader = Reloader({"default-scheduler": profile}, handle, nobody)
    await reloader.look()
    assert scheduler.runtimes == []
    path.write_text(GOOD.replace("self.wanted)", "'b')"))
    os.utime(path, (1, 1))
    await reloader.look()
    assert [_chosen(runtime) for runtime in scheduler.runtimes] == ["b"]
    path.write_text("class")
    os.utime(path, (2, 2))
    await reloader.look()
    assert len(scheduler.runtimes) == 1


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_page_builds_a_plugin_that_works_both_ways(tmp_path: Path) -> None:
    simple, columns, _ = _blocks("python")
    configuration, cluster, with_extenders = _blocks("yaml")
    (tmp_path / "extenders.yaml").write_text(with_extenders)
    assert config.load(str(tmp_path / "extenders.yaml")).extenders[0].filter_verb == "filter"
    (tmp_path / "config.yaml").write_text(configuration)
    (tmp_path / "cluster.yaml").write_text(cluster)
    env = os.environ | {"PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for text in (simple, columns):
        (tmp_path / "cheap.py").write_text(text)
        said = [
            subprocess.run(["bash", "-euc", block], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=100)
            for block in _blocks("sh")
        ]
        assert all(done.returncode == 0 for done in said), [done.stderr for done in said]
        first, second = re.findall(r"default/web -> (\w+)", said[0].stdout)
        assert (first, second) == ("dear", "cheap")
        assert "500 placed" in said[1].stdout
