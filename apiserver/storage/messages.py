"""etcd's messages: aetcd's generated modules, found here without aetcd around them.

Importing aetcd imports gRPC's library, which nothing here calls: 12 MB of memory, a tenth of an idle server. Generated
modules name each other relative to their package, so they are as well modules of this one.
"""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

_AETCD: Final = find_spec("aetcd")
if _AETCD is None:
    raise ImportError("aetcd is not installed: etcd's messages are taken from it")
__path__ = [str(Path(location) / "rpc") for location in _AETCD.submodule_search_locations or ()]

kv: Final[Any] = import_module(f"{__name__}.kv_pb2")
rpc: Final[Any] = import_module(f"{__name__}.rpc_pb2")
