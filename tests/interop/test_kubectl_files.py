"""Command lines about files, nodes and requests, that every kubectl is run with in this order; see test_kubectls."""

import base64
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.integration.apiserver_process import ApiserverProcess
from tests.interop.test_kubectls import VERSIONS, Line, of_each_version, wrong
from tests.kubectls import NO_KUBECTL

FILES = {
    "one.yaml": """
apiVersion: v1
kind: ConfigMap
metadata: {name: one, labels: {app: files}}
data: {color: red, size: "1"}
""",
    "changed.yaml": """
apiVersion: v1
kind: ConfigMap
metadata: {name: one, labels: {app: files}}
data: {color: green}
""",
    "two.yaml": """
apiVersion: v1
kind: ConfigMap
metadata: {name: two, labels: {app: files}}
data: {color: red}
""",
    "web.yaml": """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: a, image: "nginx:1", ports: [{containerPort: 80}]}
      - {name: b, image: "nginx:1"}
""",
    "kustomization.yaml": """
resources: [two.yaml]
namePrefix: k-
configMapGenerator: [{name: made, literals: [a=b]}]
""",
    "node.yaml": """
apiVersion: v1
kind: Node
metadata: {name: NS}
---
apiVersion: v1
kind: Pod
metadata: {name: idle}
spec: {nodeName: NS, containers: [{name: a, image: "nginx:1"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: busy, labels: {app: busy}}
spec: {nodeName: NS, containers: [{name: a, image: "nginx:1"}]}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: busy}
spec: {minAvailable: 1, selector: {matchLabels: {app: busy}}}
""",
    "limits.yaml": """
apiVersion: v1
kind: LimitRange
metadata: {name: small}
spec: {limits: [{type: Container, default: {cpu: 500m}, max: {cpu: "1"}}]}
""",
    "big.yaml": """
apiVersion: v1
kind: Pod
metadata: {name: big}
spec: {containers: [{name: a, image: "nginx:1", resources: {limits: {cpu: "2"}}}]}
""",
    "request.yaml": """
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: NS}
spec:
  signerName: example.com/any
  usages: [client auth]
  request: REQUEST
""",
    "refused.yaml": """
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: NS-refused}
spec:
  signerName: example.com/any
  usages: [client auth]
  request: REQUEST
""",
    "color.gotemplate": "{{.data.color}}",
    "color.jsonpath": "{.data.color}",
    "columns": "NAME          COLOR\nmetadata.name .data.color\n",
}
SECOND = '{{"spec":{{"template":{{"spec":{{"containers":[{{"name":"b","image":"nginx:2"}}]}}}}}}}}'
READY = '{{"status":{{"phase":"Running","conditions":[{{"type":"Ready","status":"True"}}]}}}}'
LEVEL = "pod-security.kubernetes.io/enforce"
SPENT = '{{"status":{{"observedGeneration":1,"disruptionsAllowed":{0},"currentHealthy":1,"desiredHealthy":1}}}}'
LINES = (
    Line("diff -f {dir}/one.yaml", r"^\+  color: red$", 1),
    Line("apply -f {dir}/one.yaml", r"^configmap/one created$"),
    Line("apply -f {dir}/one.yaml", r"^configmap/one unchanged$"),
    Line("diff -f {dir}/one.yaml", r"^$"),
    Line("apply -f {dir}/changed.yaml", r"^configmap/one configured$"),
    Line("get cm one -o jsonpath={{.data}}", r'^\{"color":"green"\}$'),
    Line("edit cm one", r"^configmap/one edited$"),
    Line("get cm one -o jsonpath={{.data.color}}", r"^blue$"),
    Line("replace --force -f {dir}/one.yaml", r"^configmap/one replaced$"),
    Line("replace -f {dir}/changed.yaml", r"^configmap/one replaced$"),
    Line("apply --server-side -f {dir}/two.yaml --field-manager=ann", r"^configmap/two serverside-applied$"),
    Line('patch cm two --type=merge -p {{"data":{{"color":"blue"}}}}', r"^configmap/two patched$"),
    Line(
        "apply --server-side -f {dir}/two.yaml --field-manager=ann",
        r'^error: Apply failed with 1 conflict: conflict with "kubectl-patch" using v1: \.data\.color$',
        1,
    ),
    Line("apply --server-side -f {dir}/two.yaml --field-manager=ann --force-conflicts", r"^configmap/two serverside"),
    Line("get cm two -o jsonpath={{.data.color}}", r"^red$"),
    Line("apply -f {dir}/two.yaml", r"^configmap/two configured$"),
    Line("apply -f {dir}/one.yaml", r"^configmap/one configured$"),
    Line("apply --prune -l app=files -f {dir}/two.yaml --prune-allowlist=core/v1/ConfigMap", r"^configmap/one pruned$"),
    Line("apply -k {dir}", r"^configmap/k-two created$"),
    Line("kustomize {dir}", r"^  name: k-made-\w+$"),
    Line("apply -f {dir}/web.yaml", r"^deployment.apps/web created$"),
    Line(
        f"patch deployment/web -p {SECOND}",
        r"^deployment.apps/web patched$",
    ),
    Line(
        'patch deployment/web --type=json -p [{{"op":"test","path":"/spec/replicas","value":1}}]',
        r"^deployment.apps/web patched \(no change\)$",
    ),
    Line("get deployment/web -o jsonpath={{..image}}", r"^nginx:1 nginx:2$"),
    Line("apply -f {dir}/node.yaml", r"^poddisruptionbudget.policy/busy created$"),
    Line("taint node {ns} full=yes:NoSchedule", r"^node/\S+ tainted$"),
    Line("taint node {ns} full-", r"^node/\S+ untainted$"),
    Line("cordon {ns}", r"^node/\S+ cordoned$"),
    Line("uncordon {ns}", r"^node/\S+ uncordoned$"),
    Line("debug idle --image=busybox:1 --container=look", r""),
    Line("get pod idle -o jsonpath={{.spec.ephemeralContainers[*].name}}", r"^look$"),
    Line(f"patch pod busy --subresource=status --type=merge -p {READY}", r"^pod/busy patched"),
    Line(f"patch pdb busy --subresource=status --type=merge -p {SPENT.replace('{0}', '0')}", r"patched"),
    Line("drain {ns} --force --grace-period=0 --timeout=1s", r"would violate the pod's disruption budget", 1),
    Line(f"patch pdb busy --subresource=status --type=merge -p {SPENT.replace('{0}', '1')}", r"patched"),
    Line("drain {ns} --force --grace-period=0 --timeout=20s", r"^node/\S+ drained$"),
    Line("get pods", r"^No resources found"),
    Line("apply -f {dir}/limits.yaml", r"^limitrange/small created$"),
    Line(
        "create -f {dir}/big.yaml", r'pods "big" is forbidden: maximum cpu usage per Container is 1, but limit is 2$', 1
    ),
    Line("run little --image=nginx:1", r"^pod/little created$"),
    Line("get pod little -o jsonpath={{.spec.containers[0].resources}}", r'^\{"limits":\{"cpu":"500m"\}.*\}$'),
    Line(
        'run sealed --image=nginx:1 --overrides={{"spec":{{"runtimeClassName":"absent"}}}}',
        r'pods "sealed" is forbidden: pod rejected: RuntimeClass "absent" not found$',
        1,
    ),
    Line(
        f"label ns {{ns}} {LEVEL}=sloppy",
        rf'metadata.labels\[{LEVEL}\]: Invalid value: "sloppy": must be one of privileged, baseline, restricted$',
        1,
    ),
    Line(
        f"label ns {{ns}} {LEVEL}=restricted",
        r'^Warning: existing pods in namespace "\S+" violate the new PodSecurity enforce level "restricted:latest"$',
    ),
    Line(
        "run risky --image=nginx:1",
        r'pods "risky" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false '
        r'\(container "risky" must set securityContext.allowPrivilegeEscalation=false\), unrestricted capabilities',
        1,
    ),
    Line(
        "create deployment risky --image=nginx:1",
        r'^Warning: would violate PodSecurity "restricted:latest": allowPrivilegeEscalation != false \(container',
    ),
    Line(f"label ns {{ns}} {LEVEL}-", r"^namespace/\S+ unlabeled$"),
    Line("run risky --image=nginx:1", r"^pod/risky created$"),
    Line("create -f {dir}/request.yaml", r"^certificatesigningrequest\S+ created$"),
    Line("certificate approve {ns}", r"^certificatesigningrequest\S+ approved$"),
    Line("get csr {ns}", r"Approved$"),
    Line("create -f {dir}/refused.yaml", r"^certificatesigningrequest\S+ created$"),
    Line("certificate deny {ns}-refused", r"^certificatesigningrequest\S+ denied$"),
    Line("get csr {ns}-refused", r"Denied$"),
    Line("create secret tls cert --cert={dir}/tls.crt --key={dir}/tls.key", r"^secret/cert created$"),
    Line("get secret cert -o jsonpath={{.type}}", r"^kubernetes.io/tls$"),
    Line("get cm two -o go-template-file={dir}/color.gotemplate", r"^red$"),
    Line("get cm two -o jsonpath-file={dir}/color.jsonpath", r"^red$"),
    Line("get cm two -o custom-columns-file={dir}/columns", r"^NAME +COLOR\ntwo +red$"),
    Line("get cm two -o jsonpath-as-json={{.data.color}}", r'^\[\n +"red"\n\]$'),
    Line("get cm two --template={{{{.data.color}}}}", r"^red$"),
    Line("get cm two -o yaml --show-managed-fields", r"^  managedFields:$"),
    Line("get cm,secret cert two --ignore-not-found -o name", r"^configmap/two\nsecret/cert$"),
    Line("get --raw /api/v1/namespaces/{ns}/configmaps/two", r'"color":"red"'),
)


@pytest.fixture(scope="module")
def complaints(server: ApiserverProcess, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Version → what went wrong with its lines."""

    def run(version: str, namespace: str) -> list[str]:
        folder = _write(tmp_path_factory.mktemp(namespace), namespace)
        return [found for line in LINES if (found := wrong(server, version, namespace, line, folder))]

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "KUBE_EDITOR", "sed -i s/green/blue/")
        return of_each_version(server, "files", run)


def _write(folder: Path, namespace: str) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    request = base64.b64encode(_certificate_request(key)).decode()
    for name, text in FILES.items():
        (folder / name).write_text(text.replace("NS", namespace).replace("REQUEST", request))
    (folder / "tls.crt").write_bytes(_certificate(key))
    encoding = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "tls.key").write_bytes(key.private_bytes(*encoding))
    return folder


def _certificate(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Self-signed."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "example.org")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _certificate_request(key: ec.EllipticCurvePrivateKey) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "jane")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_line_of_the_table_does_what_it_says(complaints: dict[str, list[str]], version: str) -> None:
    assert version in complaints, f"kubectl {version} is missing: {NO_KUBECTL}"
    assert "\n".join(complaints[version]) == ""
