"""The annotation in which `apply` remembers what the file said last time. What follows from it is `three_way`'s.

Upstream: kubectl/pkg/util/apply.go. Upstream's name and form, so that either tool can go on where the other stopped.
"""

from typing import Final

from kubectl.printers.json_text import to_json
from machinery.api import codec, meta
from machinery.api.codec import Json

ANNOTATION: Final = "kubectl.kubernetes.io/last-applied-configuration"


def with_annotation(obj: Json) -> Json:
    """The object carrying itself: one line of JSON, keys sorted, newline at the end, without the annotation itself."""
    bare = _with_annotations(obj, {key: value for key, value in meta.annotations_of(obj).items() if key != ANNOTATION})
    remembered = to_json(bare, indent=None) + "\n"
    return _with_annotations(obj, dict(meta.annotations_of(obj)) | {ANNOTATION: remembered})


def _with_annotations(obj: Json, annotations: dict[str, str]) -> Json:
    return obj | {"metadata": meta.metadata_of(obj) | {"annotations": annotations}}


def original_of(current: Json) -> Json | None:
    """What was applied last; None for an object not made by `apply`; raises ValueError for a damaged annotation."""
    text = meta.annotations_of(current).get(ANNOTATION)
    if not text:
        return None
    original: Json = codec.loads(text)
    return original
