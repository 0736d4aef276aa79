"""Valid objects of many kinds, small: what tests of bad input spoil. One for each shape, not for each kind."""

from typing import Final

from machinery.api.codec import Json

_CONTAINER: Final[Json] = {
    "name": "c",
    "image": "i",
    "command": ["sh"],
    "env": [{"name": "A", "value": "b"}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
    "ports": [{"containerPort": 80, "name": "http"}],
    "resources": {"limits": {"cpu": "100m", "memory": "64Mi"}},
    "volumeMounts": [{"name": "v", "mountPath": "/v"}],
    "livenessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 5},
}
_POD_SPEC: Final[Json] = {
    "containers": [_CONTAINER],
    "volumes": [{"name": "v", "configMap": {"name": "x", "items": [{"key": "k", "path": "p"}]}}],
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}]
            }
        }
    },
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}
    ],
    "securityContext": {"runAsUser": 1, "fsGroup": 2},
}
_LABELS: Final[Json] = {"app": "web"}
_TEMPLATE: Final[Json] = {"metadata": {"labels": _LABELS}, "spec": _POD_SPEC}
_WORKLOAD: Final[Json] = {"replicas": 2, "selector": {"matchLabels": _LABELS}, "template": _TEMPLATE}
_JOB: Final[Json] = {"spec": _POD_SPEC | {"restartPolicy": "Never"}}

#: by path of the collection
SAMPLES: Final[dict[str, Json]] = {
    "/api/v1/namespaces/default/configmaps": {"data": {"k": "v"}, "binaryData": {"b": "AAEC"}, "immutable": False},
    "/api/v1/namespaces/default/secrets": {"type": "Opaque", "data": {"k": "dg=="}, "stringData": {"s": "t"}},
    "/api/v1/namespaces/default/pods": {"spec": _POD_SPEC},
    "/api/v1/namespaces/default/services": {
        "spec": {"selector": _LABELS, "ports": [{"name": "http", "port": 80, "targetPort": "http"}], "type": "NodePort"}
    },
    "/api/v1/namespaces/default/events": {
        "involvedObject": {"kind": "Pod", "name": "x", "namespace": "default"},
        "reason": "R",
        "message": "m",
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "count": 1,
    },
    "/api/v1/namespaces/default/endpoints": {
        "subsets": [{"addresses": [{"ip": "10.1.2.3"}], "ports": [{"port": 80, "name": "http"}]}]
    },
    "/api/v1/nodes": {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}], "podCIDR": "10.9.0.0/24"}},
    "/apis/apps/v1/namespaces/default/deployments": {
        "spec": _WORKLOAD | {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}}}
    },
    "/apis/apps/v1/namespaces/default/replicasets": {"spec": _WORKLOAD},
    "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings": {
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "User", "name": "u", "apiGroup": "rbac.authorization.k8s.io"}],
    },
    "/apis/rbac.authorization.k8s.io/v1/clusterroles": {
        "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}],
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]},
    },
    "/apis/coordination.k8s.io/v1/namespaces/default/leases": {
        "spec": {"holderIdentity": "h", "renewTime": "2026-01-01T00:00:00.000000Z", "leaseDurationSeconds": 10}
    },
    "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices": {
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.1.2.3"], "conditions": {"ready": True}}],
        "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
    },
    "/api/v1/namespaces/default/replicationcontrollers": {
        "spec": {"replicas": 1, "selector": _LABELS, "template": _TEMPLATE},
    },
    "/api/v1/namespaces/default/persistentvolumeclaims": {
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "volumeMode": "Block"}
    },
    "/api/v1/persistentvolumes": {
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": "/x"},
            "nodeAffinity": {
                "required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]}
            },
        }
    },
    "/api/v1/namespaces/default/resourcequotas": {
        "spec": {"hard": {"pods": "10", "requests.cpu": "1"}, "scopes": ["NotTerminating"]}
    },
    "/api/v1/namespaces/default/limitranges": {
        "spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}, "default": {"cpu": "1"}}]}
    },
    "/apis/apps/v1/namespaces/default/statefulsets": {"spec": _WORKLOAD | {"serviceName": "web"}},
    "/apis/apps/v1/namespaces/default/daemonsets": {
        "spec": {"selector": {"matchLabels": _LABELS}, "template": _TEMPLATE, "updateStrategy": {"type": "OnDelete"}}
    },
    "/apis/batch/v1/namespaces/default/jobs": {"spec": {"completions": 2, "backoffLimit": 1, "template": _JOB}},
    "/apis/batch/v1/namespaces/default/cronjobs": {
        "spec": {"schedule": "*/5 * * * *", "timeZone": "Etc/UTC", "jobTemplate": {"spec": {"template": _JOB}}}
    },
    "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers": {
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x"},
            "maxReplicas": 3,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
                }
            ],
            "behavior": {"scaleDown": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 5}]}},
        }
    },
    "/apis/policy/v1/namespaces/default/poddisruptionbudgets": {
        "spec": {"minAvailable": "50%", "selector": {"matchLabels": _LABELS}}
    },
    "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies": {
        "spec": {
            "podSelector": {},
            "policyTypes": ["Ingress"],
            "ingress": [
                {"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}], "ports": [{"port": 80}]}
            ],
        }
    },
    "/apis/networking.k8s.io/v1/namespaces/default/ingresses": {
        "spec": {
            "rules": [
                {
                    "host": "x.test",
                    "http": {
                        "paths": [
                            {
                                "path": "/",
                                "pathType": "Prefix",
                                "backend": {"service": {"name": "x", "port": {"number": 80}}},
                            }
                        ]
                    },
                }
            ],
            "tls": [{"hosts": ["x.test"], "secretName": "x"}],
        }
    },
    "/apis/storage.k8s.io/v1/storageclasses": {
        "provisioner": "x.test/y",
        "allowedTopologies": [{"matchLabelExpressions": [{"key": "a", "values": ["b"]}]}],
    },
    "/apis/scheduling.k8s.io/v1/priorityclasses": {"value": 10, "preemptionPolicy": "Never"},
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations": {
        "webhooks": [
            {
                "name": "a.x.test",
                "clientConfig": {"url": "https://x.test/"},
                "rules": [
                    {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["nothings"]}
                ],
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                "failurePolicy": "Ignore",
            }
        ]
    },
    "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies": {
        "spec": {
            "matchConstraints": {
                "resourceRules": [
                    {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["nothings"]}
                ]
            },
            "validations": [{"expression": "true", "message": "m"}],
        }
    },
    "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations": {
        "spec": {"type": "Limited", "limited": {"nominalConcurrencyShares": 5, "limitResponse": {"type": "Reject"}}}
    },
    "/apis/resource.k8s.io/v1/deviceclasses": {
        "spec": {"selectors": [{"cel": {"expression": "device.driver == 'x.test'"}}]}
    },
}
