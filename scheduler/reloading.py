"""Loads plugins of one's own again when their files change, so that an idea can be tried without a restart.

A file that cannot be loaded is logged, with the line, and the plugins stay as they were.
"""

import logging
import os
from collections.abc import Mapping
from typing import Final

from machinery.aio.tasks import every
from scheduler import config, own_plugins
from scheduler.config import Profile
from scheduler.framework import Handle
from scheduler.scheduler import Scheduler

logger = logging.getLogger(__name__)

_SECONDS: Final = 1.0


class Reloader:
    """Looks at the files now and then."""

    def __init__(self, profiles: Mapping[str, Profile], handle: Handle, scheduler: Scheduler) -> None:
        self._profiles = profiles
        self._handle = handle
        self._scheduler = scheduler
        self._times = {name: _times(profile) for name, profile in profiles.items()}

    async def run(self) -> None:
        """For ever."""
        await every(_SECONDS, "reloading plugins", self.look)

    async def look(self) -> None:
        """Build those profiles anew whose files are others now."""
        for name, profile in self._profiles.items():
            times = _times(profile)
            if times == self._times[name]:
                continue
            self._times[name] = times
            try:
                runtime = config.build(profile, self._handle)
            except config.ConfigError as problem:
                logger.error("the plugins of %s stay as they were: %s", name, problem)
            else:
                self._scheduler.use(runtime)
                logger.info("the plugins of %s were loaded again", name)


def _times(profile: Profile) -> tuple[float, ...]:
    files = (own_plugins.file_of(one.args) for one in profile.plugin_config if own_plugins.MODULE in one.args)
    return tuple(os.stat(file).st_mtime if file is not None and file.exists() else 0.0 for file in files)
