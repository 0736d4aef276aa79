"""Command lines that every kubectl is run with, as one table; no kubelet and no controller stands behind them."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.apiserver_process import ApiserverProcess
from tests.kubectls import NO_KUBECTL, kubectls

VERSIONS = ("1.27", "1.28", "1.29", "1.30", "1.31", "1.32", "1.33")


@dataclass(frozen=True, slots=True)
class Line:
    """A command line, the pattern that its output must hold, and its exit code."""

    command: str
    pattern: str
    code: int = 0


GENERATORS = (
    Line("create deployment web --image=nginx:1 --replicas=2", r"^deployment.apps/web created$"),
    Line("create configmap settings --from-literal=color=red", r"^configmap/settings created$"),
    Line("create secret generic plain --from-literal=a=b", r"^secret/plain created$"),
    Line("create secret docker-registry pull --docker-username=u --docker-password=p", r"^secret/pull created$"),
    Line("create service clusterip inside --tcp=80:8080", r"^service/inside created$"),
    Line("create service nodeport outside --tcp=80", r"^service/outside created$"),
    Line("create service loadbalancer balanced --tcp=80", r"^service/balanced created$"),
    Line("create service externalname elsewhere --external-name=example.org", r"^service/elsewhere created$"),
    Line("create serviceaccount robot", r"^serviceaccount/robot created$"),
    Line("create token robot", r"^ey[\w-]+\.[\w-]+\.[\w-]+$"),
    Line("create role reader --verb=get,list --resource=pods", r"^role.rbac.authorization.k8s.io/reader created$"),
    Line("create rolebinding readers --role=reader --user=jane", r"^rolebinding\S+/readers created$"),
    Line("create clusterrole {ns} --verb=get --resource=nodes", r"^clusterrole\S+ created$"),
    Line("create clusterrolebinding {ns} --clusterrole={ns} --user=jane", r"^clusterrolebinding\S+ created$"),
    Line("create job once --image=busybox -- true", r"^job.batch/once created$"),
    Line("create cronjob often --image=busybox --schedule=@hourly -- true", r"^cronjob.batch/often created$"),
    Line("create ingress front --rule=example.org/*=inside:80", r"^ingress.networking.k8s.io/front created$"),
    Line("create poddisruptionbudget keep --selector=app=web --min-available=1", r"^poddisruptionbudget\S+ created$"),
    Line("create priorityclass {ns} --value=5", r"^priorityclass\S+ created$"),
    Line("create quota limit --hard=configmaps=90", r"^resourcequota/limit created$"),
    Line("create configmap settings", r"configmaps \"settings\" already exists$", 1),
)
CHANGES = (
    Line("label cm settings tier=web", r"^configmap/settings labeled$"),
    Line("annotate cm settings note=x", r"^configmap/settings annotated?$"),
    Line("set image deployment/web nginx=nginx:2", r"^deployment.apps/web image updated$"),
    Line("set env deployment/web A=b", r"^deployment.apps/web env updated$"),
    Line("set resources deployment/web --limits=cpu=1", r"^deployment.apps/web resource requirements updated$"),
    Line("set serviceaccount deployment/web robot", r"^deployment.apps/web serviceaccount updated$"),
    Line("set selector svc/inside app=web", r"^service/inside selector updated$"),
    Line("set subject rolebinding/readers --user=joe", r"^rolebinding\S+/readers subjects updated$"),
    Line("scale deployment/web --replicas=3", r"^deployment.apps/web scaled$"),
    Line("scale deployment/web --current-replicas=9 --replicas=1", r"Expected replicas to be 9, was 3$", 1),
    Line("autoscale deployment/web --min=1 --max=4 --cpu-percent=50", r"^horizontalpodautoscaler\S+/web autoscaled$"),
    Line("rollout pause deployment/web", r"^deployment.apps/web paused$"),
    Line("rollout resume deployment/web", r"^deployment.apps/web resumed$"),
    Line("rollout restart deployment/web", r"^deployment.apps/web restarted$"),
    Line("expose deployment web --port=80 --name=exposed", r"^service/exposed exposed$"),
    Line("run lone --image=nginx --dry-run=server", r"^pod/lone created \(server dry run\)$"),
    Line('patch deployment/web --subresource=status --type=merge -p {{"status":{{"replicas":7}}}}', r"patched"),
    Line("get deployment/web --subresource=scale -o jsonpath={{.spec.replicas}},{{.status.replicas}}", r"^3,7$"),
)
READS = (
    Line("get cm settings -o json", r'"color": "red"'),
    Line("get cm settings -o yaml", r"^  color: red$"),
    Line("get cm settings -o name", r"^configmap/settings$"),
    Line("get cm settings -o jsonpath={{.data.color}}", r"^red$"),
    Line("get cm settings -o go-template={{{{.data.color}}}}", r"^red$"),
    Line("get cm settings -o custom-columns=C:.data.color", r"^C\nred$"),
    Line("get deployment -o wide", r"^web +0/3 .* nginx +nginx:2 +app=web$"),
    Line("get cm -l tier=web", r"^settings +1 +\S+$"),
    Line("get cm --field-selector=metadata.name=settings -o name", r"^configmap/settings$"),
    Line("get secrets --chunk-size=1 -o name", r"^secret/plain\nsecret/pull$"),
    Line("wait cm/settings --for=jsonpath={{.data.color}}=red --timeout=20s", r"^configmap/settings condition met$"),
    Line("describe deployment web", r"^Replicas: +3 desired"),
    Line("describe cm settings", r"^color:\n----\nred$"),
    Line("events", r"^No events found in \S+ namespace\.$"),
    Line("explain deployment.spec.replicas", r"replicas\b.*<integer>"),
    Line("explain cm --recursive", r"immutable\t<boolean>"),
    Line("auth can-i --list", r"^\*\.\* +\[\] +\[\] +\[\*\]$"),
    Line("api-resources --api-group=apps -o wide", r"^deployments +deploy +apps/v1 +true +Deployment +\S+ +all$"),
    Line("api-versions", r"^apps/v1$"),
    Line("cluster-info", r"is running at"),
    Line("get componentstatuses", r"^etcd-0 +Healthy +ok"),
    Line("top node", r"^error: Metrics API not available$", 1),
    Line("delete deployment web --cascade=orphan --wait=false", r'^deployment.apps "web" deleted'),
    Line("delete job once --cascade=background", r'^job.batch "once" deleted'),
    Line("wait cm/settings --for=delete --timeout=1s", r"timed out waiting for the condition", 1),
)
# `auth whoami` asks v1 since 1.28; 1.27 knows it under v1beta1 and v1alpha1 alone, which no current server has.
SINCE_1_28 = (Line("auth whoami", r"^Username +kubernetes-admin$"),)


@pytest.fixture(scope="module")
def complaints(server: ApiserverProcess) -> dict[str, list[str]]:
    """Version → what went wrong with its lines."""

    def run(version: str, namespace: str) -> list[str]:
        lines = (*GENERATORS, *CHANGES, *READS, *(SINCE_1_28 if version != "1.27" else ()))
        return [found for line in lines if (found := wrong(server, version, namespace, line))]

    return of_each_version(server, "table", run)


def of_each_version(
    server: ApiserverProcess, prefix: str, run: Callable[[str, str], list[str]]
) -> dict[str, list[str]]:
    """Version → what `run` says of it, beside the others and each in a namespace of its own."""

    def prepared(version: str) -> list[str]:
        namespace = f"{prefix}-{version.replace('.', '-')}"
        server.kubectl("create", "namespace", namespace, version=version).ok()
        server.kubectl("create", "serviceaccount", "default", "-n", namespace, version=version).ok()
        return run(version, namespace)

    installed = [version for version in VERSIONS if version in kubectls()]
    with ThreadPoolExecutor(3) as pool:
        return dict(zip(installed, pool.map(prepared, installed), strict=True))


@pytest.mark.parametrize("version", VERSIONS)
def test_every_line_of_the_table_does_what_it_says(complaints: dict[str, list[str]], version: str) -> None:
    assert version in complaints, f"kubectl {version} is missing: {NO_KUBECTL}"
    assert "\n".join(complaints[version]) == ""


def wrong(server: ApiserverProcess, version: str, namespace: str, line: Line, folder: Path = Path()) -> str:
    """What is wrong with the outcome of a line; empty when nothing is. `folder` is what it calls {dir}."""
    words = line.command.format(ns=namespace, dir=folder).split()
    end = words.index("--") if "--" in words else len(words)
    run = server.kubectl(*words[:end], "-n", namespace, *words[end:], version=version)
    said = (run.out + run.err).strip()
    if run.code == line.code and re.search(line.pattern, said, re.MULTILINE):
        return ""
    return f"kubectl {version} {line.command}: exit {run.code}, not {line.code} with {line.pattern!r}: {said[-600:]}"
