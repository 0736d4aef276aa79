"""Kinds that are mostly data: ConfigMaps, Secrets, Namespaces, ServiceAccounts."""

import base64
from collections.abc import Iterator

from kubectl.describe import limits
from kubectl.describe.surroundings import Describer, Surroundings
from kubectl.describe.text import NONE, events, head, moment
from machinery.api.codec import Json


def config_map(found: Surroundings) -> Iterator[str]:
    """Text as it is, binary data by its size."""
    obj = found.object
    yield from head(obj)
    yield from ("", "Data", "====")
    for key, value in sorted((obj.get("data") or {}).items()):
        yield from (f"{key}:", "----", *value.split("\n"), "")
    yield from ("", "BinaryData", "====")
    for key, value in sorted((obj.get("binaryData") or {}).items()):
        yield f"{key}: {len(base64.b64decode(value))} bytes"
    yield ""
    yield from events(found.events, found.now)


def secret(found: Surroundings) -> Iterator[str]:
    """Sizes only, but for a service account's token, which is what one comes for."""
    obj = found.object
    yield from head(obj)
    yield from ("", f"Type:\t{obj.get('type', '')}", "", "Data", "====")
    for key, value in sorted((obj.get("data") or {}).items()):
        plain = base64.b64decode(value)
        is_token = key == "token" and obj.get("type") == "kubernetes.io/service-account-token"
        yield f"{key}:\t{plain.decode() if is_token else f'{len(plain)} bytes'}"


def namespace(found: Surroundings) -> Iterator[str]:
    """With its conditions, and what may be used in it."""
    obj = found.object
    status: Json = obj.get("status") or {}
    yield from head(obj, namespaced=False)
    yield f"Status:\t{status.get('phase', '')}"
    if status.get("conditions"):
        yield "Conditions:"
        yield "  Type\tStatus\tLastTransitionTime\tReason\tMessage"
        yield "  ----\t------\t------------------\t------\t-------"
        for one in status["conditions"]:
            words = f"{one.get('reason', '')}\t{one.get('message', '')}"
            yield f"  {one.get('type')}\t{one.get('status')}\t{moment(one.get('lastTransitionTime'))}\t{words}"
    yield from limits.of_namespace(found)


def service_account(found: Surroundings) -> Iterator[str]:
    """With the Secrets it refers to."""
    obj = found.object
    yield from head(obj)
    for title, field in (("Image pull secrets", "imagePullSecrets"), ("Mountable secrets", "secrets")):
        names = [one.get("name", "") for one in obj.get(field) or ()]
        yield f"{title + ':':19}\t{names[0] if names else NONE}"
        yield from (f"{'':19}\t{name}" for name in names[1:])
    yield f"{'Tokens:':19}\t{NONE}"
    yield from events(found.events, found.now)


CONFIG_MAP = Describer(config_map)
SECRET = Describer(secret, has_events=False)
NAMESPACE = Describer(namespace, needs=limits.needs_of_namespace, has_events=False)
SERVICE_ACCOUNT = Describer(service_account)
