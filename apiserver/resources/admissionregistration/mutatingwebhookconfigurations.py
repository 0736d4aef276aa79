"""MutatingWebhookConfigurations. Calling them is admission's."""

from typing import Final

from apiserver.resources.admissionregistration.webhooks import WebhookConfigurationStrategy, configuration
from apiserver.validation import fields
from machinery.api import kinds
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_REINVOCATION: Final = ("IfNeeded", "Never")


class MutatingWebhookStrategy(WebhookConfigurationStrategy):
    """A webhook may be asked again when a later one changed the object."""

    def webhook_defaults(self) -> Json:
        """Not again."""
        return {"reinvocationPolicy": "Never"}

    def check(self, obj: Json) -> list[FieldError]:
        """Reinvocation too."""
        found = super().check(obj)
        for item, path in fields.each(obj.get("webhooks"), "webhooks"):
            found += fields.one_of(item.get("reinvocationPolicy"), _REINVOCATION, f"{path}.reinvocationPolicy")
        return found


MUTATING_WEBHOOKS: Final = configuration(kinds.MUTATING_WEBHOOKS, MutatingWebhookStrategy())
