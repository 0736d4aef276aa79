"""Storage's errors in the API's words, once for all verbs. Nobody above the registry sees an error of storage."""

from apiserver.storage import errors as storage_errors
from machinery.api import errors
from machinery.api.errors import StatusError
from machinery.api.kinds import Kind

#: etcd's limit, told by etcd itself or by gRPC on the way
_TOO_LARGE = ("request is too large", "message larger than max")


class told_to_clients:  # noqa: N801  (used as a function; a generator would cost three times as much per request)
    """Within: what storage raises becomes a StatusError about this object (upstream: registry/generic/registry)."""

    __slots__ = ("_kind", "_name")

    def __init__(self, kind: Kind, name: str = "") -> None:
        self._kind = kind
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, type_: object, problem: BaseException | None, traceback: object) -> None:
        if isinstance(problem, storage_errors.StorageError):
            raise status_error(problem, self._kind, self._name) from problem


def status_error(problem: storage_errors.StorageError, kind: Kind, name: str = "") -> StatusError:
    """What a client hears of one storage error."""
    match problem:
        case storage_errors.KeyExists():
            return errors.already_exists(kind, name)
        case storage_errors.KeyNotFound():
            return errors.not_found(kind, name)
        case storage_errors.RevisionConflict():
            return errors.conflict(kind, name, errors.MODIFIED)
        case storage_errors.Compacted():
            return errors.Expired("The resourceVersion for the provided list is too old.")
        case storage_errors.FutureRevision():
            return too_large(problem.asked, problem.current)
        case storage_errors.Refused() if any(words in str(problem) for words in _TOO_LARGE):
            return errors.RequestEntityTooLarge(str(problem))  # upstream's 500, for what the client did
        case storage_errors.Unavailable():
            return errors.ServiceUnavailable(f"etcd does not answer: {problem}")
        case _:
            return StatusError(str(problem))


def too_large(asked: int, current: int) -> errors.Timeout:
    """The revision was not reached in time (upstream: storage.NewTooLargeResourceVersionError)."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return errors.Timeout(
        f"Timeout: Too large resource version: {asked}, current: {current}",
        {"retryAfterSeconds": 1, "causes": [cause]},
    )
