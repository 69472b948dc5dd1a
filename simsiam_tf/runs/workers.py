"""One run on several devices or hosts: TensorFlow's strategy for it, and what its workers tell each other.

A worker is a process. The first one, the chief, owns the run folder and judges; the others only train.
"""

import contextlib
import functools
import json
import logging
import os
import re
import time
import zlib

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.distribute.cluster_resolver.slurm_cluster_resolver import expand_hostlist, expand_tasks_per_node

from simsiam_tf.errors import InputError
from simsiam_tf.runs.interrupt import Interrupted
from simsiam_tf.settings import files
from simsiam_tf.settings.types import marked

log = logging.getLogger("simsiam_tf")
LINGER_SECONDS = 5
SLURM_PORT = 8888  # of the first task on a host; the next one has the next


class WorkerLost(Interrupted):
    """Another worker has ended; the run can go on from the last checkpoint."""


class Workers:
    """The processes that train one model together, seen from one of them. Call its methods in all of them alike.

    Args:
        kind: "none", "mirrored" (all GPUs of this host) or "multi_worker" (those of all hosts in TF_CONFIG, or in the
            Slurm step). Make it before TensorFlow has run anything; "multi_worker" waits for all workers.

    Attributes:
        strategy: The tf.distribute.Strategy in whose `scope()` the model is made.
        index, count: Which worker this is, from 0, and how many there are.
        replicas: Devices of all workers; each takes an equal part of every batch.

    Raises:
        InputError: there is no such cluster or no second device.
    """

    def __init__(self, kind="none"):
        self.index, self.count = 0, 1
        if kind == "multi_worker":
            resolver, self.index, self.count = cluster()
            log.info("worker %d of %d: waiting for the others", self.index, self.count)
            try:
                self.strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
            except tf.errors.UnknownError as error:
                raise InputError(f"TF_CONFIG: {error.message}; is this worker's port taken?") from error
            except tf.errors.OpError as error:
                raise WorkerLost("the other workers did not come; start them all with the same command") from error
        elif kind == "mirrored":
            devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
            if len(devices) < 2:
                raise InputError(f"training.distribution: mirrored, but there is only {devices[0].name}; give none")
            self.strategy = tf.distribute.MirroredStrategy([device.name for device in devices])
        else:
            self.strategy = tf.distribute.get_strategy()
        self.replicas = self.strategy.num_replicas_in_sync

    @property
    def chief(self):
        return self.index == 0

    def batches(self, make):
        """The input of this worker.

        Args:
            make: Function of (part, parts) that gives a tf.data.Dataset of that part of every batch.

        Returns:
            What `fit` takes: `make(0, 1)`, or a distributed dataset over this worker's devices.
        """
        if self.replicas == 1:
            return make(0, 1)
        devices = self.replicas // self.count  # of this worker

        def cut(tensor):
            return tf.reshape(tensor, [devices, tensor.shape[0] // devices, *tensor.shape[1:]])

        def own(context):
            batches = make(self.index, self.count)
            if devices == 1:
                return batches
            return batches.map(lambda *part: tf.nest.map_structure(cut, part if part[1:] else part[0])).unbatch()

        return self.strategy.distribute_datasets_from_function(own)

    def check(self, config, images):
        """Refuse what would not be one run.

        Args:
            config: Of this worker.
            images: ImageSet of this worker to train on.

        Raises:
            InputError: a batch cannot be divided evenly, or the workers differ in settings or images.
        """
        size = config.optimizer.batch_size
        if size % self.replicas:
            raise InputError(
                f"optimizer.batch_size: {size} does not divide evenly over {self.replicas} devices; give a multiple"
            )
        own_keys = marked(config, "own")
        settings = [(key, value) for key, value in files.flat(config).items() if key not in own_keys]
        settings += [keras.config.dtype_policy().name, len(tf.config.list_physical_devices("GPU")), images.side]
        own = np.array([zlib.crc32(repr(settings).encode()), len(images), zlib.crc32(images.fingerprint())])
        if self.anywhere((self.from_chief(own) != own).any()):
            raise InputError(
                "training.distribution: the workers do not have the same settings, GPUs and training images; give all "
                "the same command, and data with the same names and sizes"
            )

    def wait(self):
        """Return when all workers have called this."""
        self.anywhere(False)

    def anywhere(self, flag):
        """Whether `flag` holds in any worker."""
        return bool(self._sum(float(bool(flag))) > 0) if self.count > 1 else bool(flag)

    def from_chief(self, value):
        """The chief's value in every worker: an array or tensor of numbers that float64 holds exactly."""
        return self._sum(value if self.chief else tf.zeros_like(value)) if self.count > 1 else value

    def share(self, variables):
        """Give every worker the chief's values of these variables."""
        for variable in variables if self.count > 1 else ():
            variable.assign(tf.cast(self.from_chief(tf.convert_to_tensor(variable)), variable.dtype))

    def _sum(self, value):
        """The sum over all workers, a float64 array; each counts once, however many devices it has."""
        value = tf.cast(value, tf.float64)
        return self._sum_flat(tf.reshape(value, [-1])).numpy().reshape(value.shape)

    @functools.cached_property
    def _sum_flat(self):
        devices = self.replicas // self.count

        def add(values):
            context = tf.distribute.get_replica_context()
            first = tf.cast(context.replica_id_in_sync_group, tf.int32) % devices == 0
            return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.where(first, values, tf.zeros_like(values)))

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float64)], autograph=False)
        def total(values):
            return self.strategy.experimental_local_results(self.strategy.run(add, args=(values,)))[0]

        return total

    @contextlib.contextmanager
    def watched(self):
        """Context in which the loss of another worker raises WorkerLost: at once if its connections break, else when
        TensorFlow's coordination service has missed its heartbeat for 10 s.

        It is left with a delay: what this worker knows already, others may still be receiving from it.
        """
        try:
            yield
        except tf.errors.OpError as error:
            if self.count == 1 or not re.search("[Cc]ollective|heartbeat|from peer", str(error)):
                raise
            raise WorkerLost(
                "another worker has ended or does not answer; start all workers again with the same command, to go on "
                "from the last checkpoint"
            ) from error
        finally:
            time.sleep(LINGER_SECONDS if self.count > 1 else 0)


def slurm_resolver(step):
    """The cluster of a Slurm step, from its variables.

    tf.distribute's SlurmClusterResolver sorts hosts as text, node10 before node9, while Slurm numbers its tasks in the
    order of the list; and it gives GPUs away, which is Slurm's business.
    """
    hosts = expand_hostlist(step["SLURM_STEP_NODELIST"])
    tasks = expand_tasks_per_node(step["SLURM_STEP_TASKS_PER_NODE"])
    addresses = [f"{host}:{SLURM_PORT + i}" for host, count in zip(hosts, tasks, strict=True) for i in range(count)]
    spec = tf.train.ClusterSpec({"worker": addresses})
    return tf.distribute.cluster_resolver.SimpleClusterResolver(
        spec, task_type="worker", task_id=int(step["SLURM_PROCID"]), rpc_layer="grpc"
    )


def cluster():
    """The cluster that this process is in: (resolver, index of this worker, number of workers).

    Raises:
        InputError: the environment names none, or one of another kind.
    """
    if "TF_CONFIG" in os.environ:
        try:
            json.loads(os.environ["TF_CONFIG"])
            resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
            jobs = resolver.cluster_spec().as_dict()
        except (ValueError, TypeError, AttributeError) as error:
            raise InputError(f"TF_CONFIG: it cannot be read ({error}); give JSON with 'cluster' and 'task'") from error
    elif "SLURM_STEP_NODELIST" in os.environ:
        resolver = slurm_resolver(os.environ)
        jobs = resolver.cluster_spec().as_dict()
    else:
        raise InputError(
            "training.distribution: multi_worker finds no cluster; set TF_CONFIG, or start it with srun, or give none"
        )
    members = [(job, index) for job in ("chief", "worker") for index in range(len(jobs.get(job, ())))]
    own = resolver.task_type, resolver.task_id
    if own not in members or set(jobs) - {"chief", "worker"}:
        raise InputError(
            f"TF_CONFIG: task {own} in a cluster of {', '.join(jobs) or 'nobody'}; give tasks of type chief and worker"
        )
    return resolver, members.index(own), len(members)
