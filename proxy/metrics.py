"""The proxy's metrics: upstream's names (pkg/proxy/metrics/metrics.go), the ones dashboards ask for."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

SYNC_SECONDS: Final = Histogram(
    "kubeproxy_sync_proxy_rules_duration_seconds",
    "Time to bring the kernel's rules in line.",
    buckets=[0.001 * 2**power for power in range(15)],
)
SYNC_FAILURES: Final = Counter("kubeproxy_sync_proxy_rules_iptables_restore_failures", "Writes that failed.")
LAST_SYNC: Final = Gauge("kubeproxy_sync_proxy_rules_last_timestamp_seconds", "When rules were last written.")
RULES: Final = Gauge("kubeproxy_sync_proxy_rules_iptables_total", "Rules the proxy owns, by table.", ["table"])
