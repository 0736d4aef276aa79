"""Log lines of a process: klog's severities and one line per event, on standard error."""

import logging
import sys

_FORMAT = "%(levelname).1s%(asctime)s.%(msecs)03d %(name)s] %(message)s"


def setup(prog: str, verbosity: int = 0) -> None:
    """Log to standard error; verbosity 4 and above shows debug lines of Skiff, 8 those of the libraries too."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(_FORMAT, datefmt="%m%d %H:%M:%S"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if verbosity >= 4 else logging.INFO)
    if verbosity < 8:
        for library in ("httpx", "httpcore", "asyncio", "grpc", "uvicorn", "websockets"):
            logging.getLogger(library).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    logging.getLogger(prog).debug("verbosity %d", verbosity)
