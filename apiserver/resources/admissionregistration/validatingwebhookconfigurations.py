"""ValidatingWebhookConfigurations. Calling them is admission's."""

from typing import Final

from apiserver.resources.admissionregistration.webhooks import WebhookConfigurationStrategy, configuration
from machinery.api import kinds

VALIDATING_WEBHOOKS: Final = configuration(kinds.VALIDATING_WEBHOOKS, WebhookConfigurationStrategy())
