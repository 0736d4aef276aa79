"""NetworkPolicies (upstream: pkg/registry/networking/networkpolicy, pkg/apis/networking/validation)."""

import ipaddress
from typing import Any, Final

from apiserver.registry.resource import Column, Resource
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE, selector_text, spec_of
from apiserver.resources.core.pods.defaults import fill
from apiserver.validation import fields, selectors
from machinery.api import errors, kinds
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_TYPES: Final = ("Egress", "Ingress")
_PROTOCOLS: Final = ("SCTP", "TCP", "UDP")


class NetworkPolicyStrategy(KindStrategy):
    """Who may talk to the selected pods, and to whom they may."""

    has_generation = True

    def defaults(self, obj: Json) -> None:
        """Ingress always counts, egress where there are rules for it; ports are TCP's."""
        spec = obj.setdefault("spec", {})
        spec.setdefault("podSelector", {})
        for rule in [*(spec.get("ingress") or ()), *(spec.get("egress") or ())]:
            for port in rule.get("ports") or ():
                fill(port, {"protocol": "TCP"})
        if not spec.get("policyTypes"):
            spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]

    def check(self, obj: Json) -> list[FieldError]:
        """Selectors, ports, blocks, types."""
        spec = spec_of(obj)
        found = selectors.label_selector(spec.get("podSelector"), "spec.podSelector")
        for name, peers in (("ingress", "from"), ("egress", "to")):
            for rule, path in fields.each(spec.get(name), f"spec.{name}"):
                for port, place in fields.each(rule.get("ports"), f"{path}.ports"):
                    found += _port(port, place)
                for peer, place in fields.each(rule.get(peers), f"{path}.{peers}"):
                    found += _peer(peer, place)
        types = spec.get("policyTypes") or []
        if len(types) > len(_TYPES):
            text = "may not specify more than two policyTypes"
            return [*found, errors.invalid_value("spec.policyTypes", types, text)]
        for kind, path in fields.each(types, "spec.policyTypes"):
            found += fields.one_of(kind, _TYPES, path, needed=True)
        return found


def _port(port: Json, path: str) -> list[FieldError]:
    found = fields.one_of(port.get("protocol"), _PROTOCOLS, f"{path}.protocol")
    number, end = port.get("port"), port.get("endPort")
    if number is not None:
        found += fields.port_number_or_name(number, f"{path}.port")
    if end is None:
        return found
    if number is None:
        return [*found, errors.required(f"{path}.port", "must be specified when `endPort` is specified")]
    if isinstance(number, str):
        text = "may not be specified when `port` is non-numeric"
        return [*found, errors.invalid_value(f"{path}.endPort", end, text)]
    if end < number:
        text = "must be greater than or equal to `port`"
        return [*found, errors.invalid_value(f"{path}.endPort", end, text)]
    return found


def _peer(peer: Json, path: str) -> list[FieldError]:
    present = [name for name in ("podSelector", "namespaceSelector", "ipBlock") if peer.get(name) is not None]
    found: list[FieldError] = []
    for name in ("podSelector", "namespaceSelector"):
        found += selectors.label_selector(peer.get(name), f"{path}.{name}")
    if not present:
        return [errors.required(path, "must specify a peer")]
    if "ipBlock" in present:
        found += _block(peer["ipBlock"], f"{path}.ipBlock")
        if len(present) > 1:
            text = "may not specify both ipBlock and another peer"
            found.append(errors.forbidden_field(path, text))
    return found


def _block(block: Json, path: str) -> list[FieldError]:
    text = block.get("cidr") or ""
    if not text:
        return [errors.required(f"{path}.cidr", "")]
    found = fields.cidr(text, f"{path}.cidr")
    if found:
        return found
    whole: Any = ipaddress.ip_network(text, strict=False)
    for part, place in fields.each(block.get("except"), f"{path}.except"):
        problems = fields.cidr(part, place)
        inner: Any = None if problems else ipaddress.ip_network(part, strict=False)
        if inner is not None and (inner.version != whole.version or not inner.subnet_of(whole) or inner == whole):
            why = "must be a strict subset of `cidr`"
            problems = [errors.invalid_value(place, part, why)]
        found += problems
    return found


NETWORK_POLICIES: Final = Resource(
    kind=kinds.NETWORK_POLICIES,
    key="networkpolicies",
    strategy=NetworkPolicyStrategy(),
    short_names=("netpol",),
    columns=(Column("Pod-Selector", lambda policy: selector_text(spec_of(policy).get("podSelector"))), AGE),
)
