"""The manifests for Kubernetes: by the schema of the Dask operator's own resources, and by the programs they start."""

import importlib.util
from pathlib import Path

import pytest

from sonic_guard.cli.arguments import parse_arguments
from sonic_guard.cli.commands import EXIT_NOT_ALL_MADE
from tests.support.installed import PACK

yaml = pytest.importorskip("yaml", reason="manifests need pyyaml; see requirements-dev.txt")
jsonschema = pytest.importorskip("jsonschema", reason="schemas need jsonschema; see requirements-dev.txt")

FOLDER = PACK / "docs" / "kubernetes"
DOCUMENTS = [
    pytest.param(document, id=f"{path.stem}-{document['kind']}-{document['metadata']['name']}")
    for path in sorted(FOLDER.glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
]
CLAIMS = {each.values[0]["metadata"]["name"] for each in DOCUMENTS if each.values[0]["kind"] == "PersistentVolumeClaim"}
SECRETS = {"sonic-guard-tls", "sonic-guard-database"}
"""Made by hand; described in docs/scale.md."""

LABELS = {"type": "object", "additionalProperties": {"type": "string"}}
METADATA = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "labels": LABELS}}
SELECTOR = {"type": "object", "properties": {"podSelector": {"type": "object", "properties": {"matchLabels": LABELS}}}}
FAILURE_RULE = {
    "type": "object",
    "required": ["action", "onExitCodes"],
    "properties": {
        "action": {"enum": ["FailJob", "FailIndex", "Ignore", "Count"]},
        "onExitCodes": {
            "type": "object",
            "required": ["operator", "values"],
            "properties": {
                "containerName": {"type": "string"},
                "operator": {"enum": ["In", "NotIn"]},
                "values": {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 1, "maximum": 255}},
            },
        },
    },
}
CORE = {
    "PersistentVolumeClaim": {
        "accessModes": {"type": "array", "items": {"enum": ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany"]}},
        "resources": {
            "type": "object",
            "properties": {"requests": {"type": "object", "properties": {"storage": {"pattern": r"^\d+[KMGT]i$"}}}},
        },
    },
    "NetworkPolicy": {
        **SELECTOR["properties"],
        "policyTypes": {"type": "array", "items": {"enum": ["Ingress", "Egress"]}},
        "ingress": {
            "type": "array",
            "items": {"type": "object", "properties": {"from": {"type": "array", "items": SELECTOR}}},
        },
    },
    "Job": {
        "backoffLimit": {"type": "integer", "minimum": 0},
        "podFailurePolicy": {
            "type": "object",
            "required": ["rules"],
            "properties": {"rules": {"type": "array", "items": FAILURE_RULE}},
        },
        "template": {
            "type": "object",
            "properties": {
                "metadata": {"type": "object", "properties": {"labels": LABELS}},
                "spec": {"type": "object"},
            },
        },
    },
}  # fmt: skip
"""Of Kubernetes' own kinds, the fields that are used here, written down by hand."""


def crd(kind):
    """The schema of one of the operator's resources, from its package, which is not imported."""
    found = importlib.util.find_spec("dask_kubernetes")
    if found is None or found.origin is None:
        pytest.skip("the operator's schemas are in dask-kubernetes; see requirements-dev.txt")
    folder = Path(found.origin).parent / "operator/deployment/helm/dask-kubernetes-operator/crds"
    definition = yaml.safe_load((folder / f"{kind.lower()}.yaml").read_text(encoding="utf-8"))
    [version] = definition["spec"]["versions"]
    return version["schema"]["openAPIV3Schema"]


def strict(schema):
    """The schema without fields that it does not name: Kubernetes drops those without a word, so a typo goes unseen."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: strict(each) for name, each in schema.items()}
    if "properties" in schema and "additionalProperties" not in schema:
        closed["additionalProperties"] = False
    return closed


def schema_of(document):
    kind = document["kind"]
    own = kind.startswith("Dask")
    spec = crd(kind)["properties"]["spec"] if own else {"type": "object", "properties": CORE[kind]}
    head = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": METADATA}
    return strict({"type": "object", "required": [*head, "spec"], "properties": {**head, "spec": spec}})


def pods(document):
    """The pods that a document describes."""
    spec = document["spec"]
    found = [spec[part]["spec"] for part in ("scheduler", "worker") if part in spec]
    return found + ([spec["template"]["spec"]] if "template" in spec else [])


PODS = [
    pytest.param(pod, id=f"{document.id}-{number}")
    for document in DOCUMENTS
    for number, pod in enumerate(pods(document.values[0]))
]
CONTAINERS = [
    pytest.param(container, id=f"{pod.id}-{container['name']}")
    for pod in PODS
    for container in pod.values[0]["containers"]
]


def names(folder):
    return {path.name for path in folder.glob("*.yaml")}


def test_there_is_a_manifest_for_everything_that_the_document_names():
    text = (PACK / "docs" / "scale.md").read_text(encoding="utf-8")
    assert all(name in text for name in names(FOLDER))
    assert {each.values[0]["kind"] for each in DOCUMENTS} == {"DaskCluster", "DaskWorkerGroup", *CORE}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_manifest_keeps_to_the_schema(document):
    jsonschema.Draft202012Validator(schema_of(document)).validate(document)


@pytest.mark.parametrize("pod", PODS)
def test_a_pod_keeps_to_the_schema(pod):
    schema = crd("DaskCluster")["properties"]["spec"]["properties"]["worker"]["properties"]["spec"]
    jsonschema.Draft202012Validator(strict(schema)).validate(pod)


@pytest.mark.parametrize(
    "change",
    [
        lambda cluster: cluster["spec"]["worker"].update(replica=3),
        lambda cluster: cluster["spec"]["worker"]["spec"]["containers"][0].update(arg=["dask"]),
        lambda cluster: cluster["spec"]["worker"]["spec"]["containers"][0]["env"].append({"name": "A", "values": "b"}),
        lambda cluster: cluster["spec"]["worker"].update(replicas="four"),
        lambda cluster: cluster["spec"].pop("scheduler"),
    ],
    ids=["unknown", "deep", "deeper", "type", "missing"],
)
def test_a_mistake_is_found(change):
    cluster = yaml.safe_load((FOLDER / "cluster.yaml").read_text(encoding="utf-8"))
    change(cluster)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema_of(cluster)).validate(cluster)


@pytest.mark.parametrize("pod", PODS)
def test_what_a_pod_mounts_is_there(pod):
    volumes = {each["name"]: each for each in pod["volumes"]}
    mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
    assert mounted == set(volumes)
    for volume in volumes.values():
        claim, secret = volume.get("persistentVolumeClaim"), volume.get("secret")
        assert claim["claimName"] in CLAIMS if claim else secret["secretName"] in SECRETS


@pytest.mark.parametrize("container", CONTAINERS)
def test_secrets_come_from_secrets(container):
    for variable in container.get("env", []):
        reference = variable.get("valueFrom", {}).get("secretKeyRef")
        assert (reference is None) == ("value" in variable)
        assert reference is None or reference["name"] in SECRETS


@pytest.mark.parametrize("pod", [pod for pod in PODS if "nodeSelector" in pod.values[0]])
def test_a_worker_has_one_card_and_its_server_to_itself(pod):
    worker, server = pod["containers"]
    assert server["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert "nvidia.com/gpu" not in worker["resources"]["limits"]
    address = next(each["value"] for each in worker["env"] if each["name"] == "SONIC_GUARD_SERVER")
    arguments = server["args"]
    listens = arguments[arguments.index("--listen") + 1], arguments[arguments.index("--port") + 1]
    assert address == f"http://{listens[0]}:{listens[1]}"
    assert listens[0] == "127.0.0.1"


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_containers_options_are_those_of_its_program(container):
    match container["args"]:
        case ["sonic-guard", *options]:
            arguments = parse_arguments(options)
            assert (arguments.command, arguments.farm_command) == ("farm", "run")
            assert arguments.scheduler == "tls://sonic-guard-scheduler:8786"
        case ["dask", program, *options]:
            module = pytest.importorskip(f"distributed.cli.dask_{program}", reason="Dask; see requirements-dev.txt")
            context = module.main.make_context(program, list(options))
            if program == "worker":
                assert context.params["scheduler"] == "tls://sonic-guard-scheduler:8786"
                assert context.params["nanny"] is False
                assert context.params["nthreads"] in (1, "1")
            else:
                assert context.params["protocol"] == "tls"
        case other:
            assert other[:2] == ["python", "main.py"]


def test_no_service_is_reached_from_outside():
    cluster = yaml.safe_load((FOLDER / "cluster.yaml").read_text(encoding="utf-8"))
    assert cluster["spec"]["scheduler"]["service"]["type"] == "ClusterIP"


def test_a_farm_that_is_done_without_all_its_videos_is_not_begun_again():
    """Another pod would end with the same code, and so on up to the limit. Kubernetes wants `Never` for the rule."""
    spec = yaml.safe_load((FOLDER / "run.yaml").read_text(encoding="utf-8"))["spec"]
    pod = spec["template"]["spec"]
    [container] = pod["containers"]
    codes = {"containerName": container["name"], "operator": "In", "values": [EXIT_NOT_ALL_MADE]}
    assert spec["podFailurePolicy"]["rules"] == [{"action": "FailJob", "onExitCodes": codes}]
    assert pod["restartPolicy"] == "Never"
