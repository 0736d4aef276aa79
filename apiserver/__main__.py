"""`python -m apiserver`: flags in, a server running until it is told to stop. Putting it together is `server`."""

import sys
from functools import partial

from apiserver.config import NO_EFFECT, Config
from apiserver.server import serve
from machinery.component import flags, logs
from machinery.component.run import run


def main() -> None:
    """Parse the flags and run."""
    config = flags.parse(Config, sys.argv[1:], prog="apiserver", no_effect=NO_EFFECT)
    logs.setup("apiserver", config.v)
    run(partial(serve, config))


if __name__ == "__main__":
    main()
