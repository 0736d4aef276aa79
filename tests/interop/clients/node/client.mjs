// The official JavaScript client: objects, patches, a watch, an informer, errors, from discovery to the last delete.
import assert from "node:assert/strict";
import * as k8s from "@kubernetes/client-node";

const [kubeconfig, namespace] = process.argv.slice(2);
const config = new k8s.KubeConfig();
config.loadFromFile(kubeconfig);
const core = config.makeApiClient(k8s.CoreV1Api);
const apps = config.makeApiClient(k8s.AppsV1Api);
const labels = { app: "node" };

async function objects() {
  for (let n = 0; n < 5; n++) {
    const body = { metadata: { name: `m-${n}`, labels }, data: { n: `${n}` } };
    assert.equal((await core.createNamespacedConfigMap({ namespace, body })).metadata.name, `m-${n}`);
  }
  const page = await core.listNamespacedConfigMap({ namespace, labelSelector: "app=node", limit: 2 });
  assert.deepEqual(page.items.map((item) => item.metadata.name), ["m-0", "m-1"]);
  const rest = await core.listNamespacedConfigMap({ namespace, labelSelector: "app=node", _continue: page.metadata._continue });
  assert.equal(rest.items.length, 3);
  const patch = [{ op: "add", path: "/data/patched", value: "yes" }];
  const patched = await core.patchNamespacedConfigMap({ namespace, name: "m-0", body: patch });
  assert.deepEqual(patched.data, { n: "0", patched: "yes" });
  const typed = (type, field) => k8s.setHeaderOptions("Content-Type", type, field);
  const merged = { namespace, name: "m-1", body: { data: { n: null, merged: "yes" } } };
  assert.deepEqual((await core.patchNamespacedConfigMap(merged, typed(k8s.PatchStrategy.MergePatch))).data, { merged: "yes" });
  const strategic = { namespace, name: "m-1", body: { metadata: { labels: { extra: "x" } } } };
  const relabelled = await core.patchNamespacedConfigMap(strategic, typed(k8s.PatchStrategy.StrategicMergePatch));
  assert.deepEqual(relabelled.metadata.labels, { app: "node", extra: "x" });
  const wanted = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "applied", labels: { kind: "applied" } }, data: { a: "b" } };
  const apply = (body, fieldManager) =>
    core.patchNamespacedConfigMap({ namespace, name: "applied", body, fieldManager }, typed(k8s.PatchStrategy.ServerSideApply));
  assert.equal((await apply(wanted, "ann")).metadata.managedFields[0].operation, "Apply");
  await assert.rejects(apply({ ...wanted, data: { a: "c" } }, "bob"), { code: 409 });
  patched.data = { only: "this" };
  assert.deepEqual((await core.replaceNamespacedConfigMap({ namespace, name: "m-0", body: patched })).data, { only: "this" });
  patched.data = { only: "that" };
  await assert.rejects(core.replaceNamespacedConfigMap({ namespace, name: "m-0", body: patched }), { code: 409 });
}

async function generic() {
  const client = k8s.KubernetesObjectApi.makeApiClient(config);
  const made = await client.create({ apiVersion: "v1", kind: "Secret", metadata: { name: "s", namespace }, stringData: { a: "b" } });
  assert.equal(made.data.a, "Yg==");
  assert.equal((await client.read({ apiVersion: "v1", kind: "Secret", metadata: { name: "s", namespace } })).type, "Opaque");
}

async function watches() {
  const { metadata } = await core.listNamespacedConfigMap({ namespace });
  const path = `/api/v1/namespaces/${namespace}/configmaps`;
  const seen = [];
  const done = new Promise((resolve, reject) => {
    const told = (type, object) => {
      seen.push(`${type} ${object.metadata.name}`);
      if (type === "DELETED") resolve();
    };
    new k8s.Watch(config).watch(path, { resourceVersion: metadata.resourceVersion }, told, reject).then((controller) => {
      done.controller = controller;
    });
  });
  await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: "w" } } });
  await core.deleteNamespacedConfigMap({ namespace, name: "w" });
  await done;
  assert.deepEqual(seen, ["ADDED w", "DELETED w"]);
}

async function informs() {
  const list = () => core.listNamespacedConfigMap({ namespace, labelSelector: "app=node" });
  const informer = k8s.makeInformer(config, `/api/v1/namespaces/${namespace}/configmaps`, list, "app=node");
  const events = [];
  const gone = new Promise((resolve) => {
    for (const type of ["add", "update", "delete"]) {
      informer.on(type, (object) => {
        events.push(`${type} ${object.metadata.name}`);
        if (type === "delete") resolve();
      });
    }
  });
  await informer.start();
  assert.equal(informer.list(namespace).length, 5);
  await core.deleteNamespacedConfigMap({ namespace, name: "m-3" });
  await gone;
  await informer.stop();
  assert.deepEqual(events.filter((event) => event.startsWith("delete")), ["delete m-3"]);
  assert.equal(informer.list(namespace).length, 4);
}

async function deploys() {
  const template = { metadata: { labels }, spec: { containers: [{ name: "c", image: "nginx:1" }] } };
  const body = { metadata: { name: "web" }, spec: { selector: { matchLabels: labels }, template } };
  await apps.createNamespacedDeployment({ namespace, body });
  const scale = await apps.readNamespacedDeploymentScale({ name: "web", namespace });
  scale.spec.replicas = 3;
  assert.equal((await apps.replaceNamespacedDeploymentScale({ name: "web", namespace, body: scale })).spec.replicas, 3);
  const status = await apps.deleteNamespacedDeployment({ name: "web", namespace, propagationPolicy: "Background" });
  assert.equal(status.status, "Success");
}

async function refusals() {
  const absent = core.readNamespacedPod({ namespace, name: "nope" });
  await assert.rejects(absent, (problem) => problem.code === 404 && JSON.parse(problem.body).reason === "NotFound");
  const bad = { metadata: { name: "Bad_Name" } };
  await assert.rejects(core.createNamespacedConfigMap({ namespace, body: bad }), { code: 422 });
}

for (const part of [objects, generic, watches, informs, deploys, refusals]) await part();
process.exit(0); // the watches' sockets would keep it alive
