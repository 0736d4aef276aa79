"""The same command line to kubectl 1.33 and to skiff: the same output, errors and exit code.

Only ages differ (a second may pass between the two) and the tool's own name.
"""

import re
import shlex

import pytest

from tests.integration.apiserver_process import ApiserverProcess, Run
from tests.integration.kubectl.conftest import Skiff

COMMANDS = r"""
get ns
get pods
get pods -o wide
get pods,deploy
get all
get deploy web
get deployments.apps web -o yaml
get deploy/web -o json
get deploy web -o name
get deploy -o name
get cm,secret
get cm -A
get cm conf -o jsonpath={.data.a}
get svc -o wide
get nodes -o wide
get pods nope
get pods pod-1 nope
get deploy -n nope
get foo
get pods --foo
get po pod-1 --show-labels
get po pod-1 -L run,foo
get po -l run=pod-1 --no-headers
get po -o custom-columns=NAME:.metadata.name,IMG:.spec.containers[*].image,X:.foo
get po -l a=b
get po -o jsonpath='{range .items[*]}{.metadata.name}{"\n"}{end}'
get po,svc -o name
get po pod-1 -o yaml
get ns -o yaml
get ns --sort-by=.metadata.name
get ns -o jsonpath='{.items[?(@.metadata.name=="default")].status.phase}'
get pod zz --ignore-not-found
get pods/pod-1 svc/web
get pods -l 'a in ('
get pods --field-selector=foo=bar
get pod pod-1 -o foo
get pod pod-1 -o jsonpath={.a
get --raw /api/v1/namespaces/nope
get -f objects.yaml
get events
describe pod pod-1
describe node node-1
describe deploy web
describe rs rs1
describe svc web
describe cm conf
describe secret sec
describe ns default
describe ns limited
describe quota -n limited
describe limits sizes -n limited
get quota,limits -n limited
describe sa default
describe endpointslice web-1
describe lease node-1 -n kube-node-lease
describe clusterrole view
describe clusterrolebinding cluster-admin
describe role -n kube-system
describe pod nope
describe
api-versions
api-resources
api-resources -o wide
api-resources -o name --namespaced=false
delete
delete pods
delete pod nope
delete pod nope --ignore-not-found
delete cm nope --wait=false
delete cm --all --dry-run=server
delete pod pod-1 --grace-period=0 --dry-run=client
scale deploy/web --replicas=3 --current-replicas=9
scale deploy/web
label pod pod-1 run=z
label pod pod-1 'a=b c'
annotate pod pod-1 note=x
patch pod pod-1
patch pod pod-1 --type=json -p '[{"op":"remove","path":"/metadata/labels/nope"}]'
patch pod pod-1 --type=merge -p '{"metadata":{"labels":{"run":"pod-1"}}}'
rollout history deploy web
rollout status deploy web --watch=false
rollout restart deploy nope
rollout undo deploy web
wait --for=condition=Ready=false pod/pod-1 --timeout=20s
wait --for=condition=Ready pod/pod-1 --timeout=1s
wait --for=jsonpath='{.status.phase}'=Running pod/pod-1 --timeout=20s
wait --for=delete pod/nope
wait --for=condition=Ready pod/nope --timeout=20s
wait --for=foo pod/pod-1
logs nope
logs pod-1 -c nope
exec pod-1 ls
run x --image=busybox --env=A=b --port=80 --dry-run=client -o yaml -- a b
expose deploy web --port=80 --target-port=http --dry-run=client -o yaml
expose deploy nope --port=80
port-forward nope 80
exec nope -- ls
apply -f nope.yaml
apply -f objects.yaml
apply -f objects.yaml -o name
apply -f objects.yaml --dry-run=server
create -f objects.yaml
create configmap x --from-literal=a=b --from-literal=c=1 --dry-run=client -o yaml
create secret generic x --from-literal=a=b --dry-run=client -o yaml
create deployment x --image=nginx:1 --replicas=2 --port=80 --dry-run=client -o yaml
create ns foo --dry-run=client -o yaml
create service nodeport x --tcp=80 --dry-run=client -o yaml
explain pod.spec.containers.ports
explain deploy --recursive
explain svc.spec
explain pod.spec.nope
explain foo
"""

_AGE = re.compile(r"(?<![\w.])(?:\d+[smhdy]){1,2}\b")
_NAME = re.compile(r"kubectl(?:\.1\.33)?(?![./-])")


#: kubectl walks the data as Go walks maps, in another order each time
_UNORDERED = ("describe cm", "describe secret")


def comparable(run: Run) -> tuple[int, list[str], list[str]]:
    """Without ages, the tool's name, and what kubectl's cache of discovery says to itself."""
    err = [line for line in run.err.splitlines() if "memcache.go" not in line]
    return run.code, [_bare(line) for line in run.out.splitlines()], [_bare(line) for line in err]


def _bare(line: str) -> str:
    line = _NAME.sub("skiff", line)
    aged = _AGE.sub("AGE", line)
    # an age of more letters moves its column: there, and in headers, only the words count
    return " ".join(aged.split()) if aged != line or line == line.upper() else line.rstrip()


@pytest.mark.parametrize("line", COMMANDS.strip().splitlines())
def test_output_errors_and_exit_code_are_kubectls(server: ApiserverProcess, skiff: Skiff, line: str) -> None:
    argv = shlex.split(line)
    ours, theirs = comparable(skiff(*argv)), comparable(server.kubectl(*argv))
    if line.startswith(_UNORDERED):
        ours[1].sort()
        theirs[1].sort()
    assert ours == theirs
