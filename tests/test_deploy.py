"""What runs the package elsewhere: image, cluster manifests against the operator's own types, Slurm script."""

import json
import os
import re
import subprocess
import time
import tomllib
from pathlib import Path

import kubernetes.client.models
import pytest
import yaml
from kubeflow.training import models

from simsiam_tf.callbacks.heartbeat import Heartbeat

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def checked(kind, value, where=""):
    """The value as an object of the operator's or of Kubernetes's Python types, which are made from their schemas.

    A field they do not know, a value of another type and a missing required field end in an error that names it.
    """
    if kind.startswith("list["):
        assert isinstance(value, list), where
        return [checked(kind[5:-1], item, f"{where}[{i}]") for i, item in enumerate(value)]
    if kind.startswith("dict("):
        assert isinstance(value, dict), where
        return {key: checked(kind[5:-1].split(", ")[1], item, f"{where}.{key}") for key, item in value.items()}
    if kind in ("str", "int", "bool", "object"):
        assert kind == "object" or type(value).__name__ == kind, f"{where}: {value!r} is no {kind}"
        return value
    if kind == "datetime":
        raise AssertionError(f"{where} is not for a user to set")
    cls = getattr(models, kind, None) or getattr(kubernetes.client.models, kind)
    fields = {there: here for here, there in cls.attribute_map.items()}
    assert set(value) <= set(fields), f"{where}: {set(value) - set(fields)}"
    parts = {fields[k]: checked(cls.openapi_types[fields[k]], item, f"{where}.{k}") for k, item in value.items()}
    try:
        return cls(**parts)
    except ValueError as error:
        raise AssertionError(f"{where}: {error}") from error


def documents(name):
    return list(yaml.safe_load_all((ROOT / "docker" / "kubernetes" / name).read_text()))


def test_the_tfjob_fits_the_operators_schema():
    [job] = documents("tfjob.yaml")
    checked("KubeflowOrgV1TFJob", job, "job")
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v1", "TFJob")
    workers = job["spec"]["tfReplicaSpecs"]["Worker"]
    assert workers["restartPolicy"] in ("OnFailure", "Always", "Never", "ExitCode")
    [container] = workers["template"]["spec"]["containers"]
    assert container["name"] == "tensorflow"  # else the operator sets no TF_CONFIG
    claims = {claim["metadata"]["name"] for claim in documents("storage.yaml")}
    volumes = workers["template"]["spec"]["volumes"]
    assert {v["persistentVolumeClaim"]["claimName"] for v in volumes if "persistentVolumeClaim" in v} == claims
    assert {v["name"] for v in volumes} == {m["name"] for m in container["volumeMounts"]}


def test_the_volume_claims_fit_kubernetes_schema():
    for claim in documents("storage.yaml"):
        assert (claim["apiVersion"], claim["kind"]) == ("v1", "PersistentVolumeClaim")
        checked("V1PersistentVolumeClaim", claim, "claim")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda job: job["spec"]["tfReplicaSpecs"]["Worker"].update(replica=2), "replica"),
        (lambda job: job["spec"]["tfReplicaSpecs"]["Worker"].update(replicas="2"), "'2' is no int"),
        (lambda job: pod(job)["containers"][0].pop("name"), "name"),
        (lambda job: pod(job)["containers"][0].update(command="train"), "command"),
    ],
)
def test_the_check_finds_mistakes(change, message):
    [job] = documents("tfjob.yaml")
    change(job)
    with pytest.raises(AssertionError, match=message):
        checked("KubeflowOrgV1TFJob", job, "job")


def pod(job):
    return job["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]


def test_the_two_workers_of_compose_name_each_other():
    services = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())["services"]
    names = ["worker-0", "worker-1"]
    for index, name in enumerate(names):
        cluster = json.loads(services[name]["environment"]["TF_CONFIG"])
        assert cluster["cluster"] == {"worker": [f"{name}:2222" for name in names]}
        assert cluster["task"] == {"type": "worker", "index": index}
        assert services[name]["profiles"] == ["two-workers"]  # not started unless named


@pytest.mark.parametrize(
    ("code", "requeued", "left"), [(0, False, 0), (75, True, 0), (137, True, 0), (2, False, 2), (3, False, 3)]
)
def test_slurm_queues_an_interrupted_run_again(tmp_path, code, requeued, left):
    for name, body in {
        "srun": f'echo "$@" > {tmp_path}/words; exit {code}',
        "scontrol": f'echo "$@" > {tmp_path}/again',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "7", "SLURM_NTASKS": "2"}
    command = [ROOT / "docker" / "slurm.sh", "--config", "digits", "--name", "two words"]
    assert subprocess.run(command, env=environment, check=False).returncode == left
    words = (tmp_path / "words").read_text()
    assert "simsiam-tf train --config digits --name two words --training.distribution multi_worker" in words
    assert (tmp_path / "again").exists() == requeued
    if requeued:
        assert (tmp_path / "again").read_text() == "requeue 7\n"
        (tmp_path / "again").unlink()
        last = environment | {"SLURM_RESTART_COUNT": "20"}
        assert subprocess.run(command, env=last, check=False).returncode == code
        assert not (tmp_path / "again").exists()


def test_every_script_is_shell():
    for script in (ROOT / "docker").glob("*.sh"):
        shell = "sh" if script.read_text().startswith("#!/bin/sh") else "bash"
        subprocess.run([shell, "-n", script], check=True)


def test_the_image_is_that_of_this_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f'image.version="{version}"' in DOCKERFILE


def test_everything_the_image_copies_is_sent_to_the_build():
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    assert {path for line in copied for path in line.split()} == sent


def test_the_images_packages_are_those_of_the_requirements():
    """constraints.txt holds every package that the image gets, at the version that requirements.txt asks for."""
    lines = (ROOT / "docker" / "constraints.txt").read_text().splitlines()
    constraints = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert all(line.startswith("#") or "==" in line for line in lines)
    wanted = re.findall(r"^([\w-]+)(?:\[.*?\])?==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert len(wanted) > 10
    for name, version in wanted:
        assert constraints[name.lower().replace("_", "-")] == version, name
    assert constraints["tensorflow-cpu"] == constraints["tensorflow"]


def test_the_heartbeat_touches_its_file_now_and_then(tmp_path):
    lock = tmp_path / "lock"
    lock.touch()
    heartbeat = Heartbeat(lock, every_seconds=3600.0)
    os.utime(lock, (0, 0))
    heartbeat.on_train_batch_end(0)
    assert abs(lock.stat().st_mtime - time.time()) < 60
    os.utime(lock, (0, 0))
    heartbeat.on_train_batch_end(1)
    assert lock.stat().st_mtime == 0
    heartbeat.every_seconds = 0.0
    lock.unlink()
    heartbeat.on_train_batch_end(2)  # no reason to end a run
