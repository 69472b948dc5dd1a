"""Training that is fed by other hosts through tf.data service, with the batches and the order of a single host.

    python examples/data_service.py serve --path PHOTOS --port 5050       # in one terminal
    python examples/data_service.py train --servers localhost:5050       # in another

With two input hosts, run `serve --host 0 --hosts 2 --address FIRST` on the first, `--host 1 --hosts 2 --address SECOND`
on the second, and `train --servers FIRST:5050 SECOND:5050`. Each then decodes every second batch.

With `--model FILE`, `train` saves after each epoch and goes on from there, if the servers are restarted with
`--start-step` epochs x steps.
"""

import argparse
import os
import signal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import tensorflow as tf

from simsiam_tf import Rates, SimSiam, make_optimizer, recipe
from simsiam_tf.data import load, training_batches
from simsiam_tf.networks import resnet as backbones

service = tf.data.experimental.service


def parse(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    serve = verbs.add_parser("serve", help="decode images for a trainer")
    serve.add_argument("--path", required=True, help="folder of images, the same on every host")
    serve.add_argument("--image-size", type=int, default=64)
    serve.add_argument("--batch-size", type=int, default=64)
    serve.add_argument("--seed", type=int, default=0)
    serve.add_argument("--start-step", type=int, default=0, help="steps the model has done: its `step`")
    serve.add_argument("--host", type=int, default=0, help="which of the hosts this is, from 0")
    serve.add_argument("--hosts", type=int, default=1)
    serve.add_argument("--address", default="localhost", help="name by which the trainer reaches this host")
    serve.add_argument("--port", type=int, default=5050, help="the next one is used, too; 0: free ones")
    train = verbs.add_parser("train", help="train a small SimSiam on what the servers send")
    train.add_argument("--servers", nargs="+", required=True, metavar="ADDRESS:PORT", help="in the order of --host")
    train.add_argument("--image-size", type=int, default=64)
    train.add_argument("--recipe", default="cifar10", help="of augmentation")
    train.add_argument("--width", type=int, default=16, help="channels of the first stage of a ResNet-18")
    train.add_argument("--epochs", type=int, default=10)
    train.add_argument("--steps", type=int, default=100, help="in an epoch")
    train.add_argument("--model", help=".keras file to save to, and to go on from if it is there")
    return parser.parse_args(words)


def serve(arguments):
    """Send every `hosts`-th batch, until the process is ended."""
    a = arguments
    images = load("folder", path=a.path, image_size=a.image_size, memory_limit_gb=0).train
    batches = training_batches(images, a.batch_size, a.seed, a.start_step + a.host, stride=a.hosts)
    dispatcher = service.DispatchServer(service.DispatcherConfig(port=a.port))
    local = dispatcher.target.removeprefix("grpc://")
    # In this process, because the batches are made by Python, which no graph can take elsewhere.
    worker = service.WorkerServer(
        service.WorkerConfig(local, worker_address=f"{a.address}:%port%", port=a.port and a.port + 1)
    )
    service.register_dataset(dispatcher.target, batches, compression=None, dataset_id="training")
    print(f"serving {len(images)} images at {a.address}:{local.split(':')[1]}", flush=True)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # `join` does not return to Python, which would handle it.
    worker.join()


def served_batches(servers):
    """The batches of `training_batches`: step i comes from server i modulo their number."""
    streams = [
        service.from_dataset_id(service.ShardingPolicy.OFF, f"grpc://{server}", "training", max_outstanding_requests=2)
        for server in servers
    ]
    turns = tf.data.Dataset.range(len(streams)).repeat()
    return tf.data.Dataset.choose_from_datasets(streams, turns, stop_on_empty_dataset=False).prefetch(2)


def train(arguments):
    """Fit a small SimSiam for the rest of its epochs; returns the model."""
    a = arguments
    batches = served_batches(a.servers)
    batch_size = tf.nest.flatten(batches.element_spec)[0].shape[0]
    if a.model and os.path.exists(a.model):
        model = keras.models.load_model(a.model, safe_mode=True)
    else:
        model = SimSiam(backbones.build("resnet18", width=a.width), recipe(a.recipe, image_size=a.image_size))
        settings = {"learning_rate": 0.05, "batch_size": batch_size, "epochs": a.epochs}
        model.compile(optimizer=make_optimizer(model, a.steps, **settings))
    callbacks = [Rates(batch_size)] + ([keras.callbacks.ModelCheckpoint(a.model)] if a.model else [])
    done = int(model.step) // a.steps
    model.fit(
        batches,
        initial_epoch=done,
        epochs=a.epochs,
        steps_per_epoch=a.steps,
        callbacks=callbacks,
        shuffle=False,
        verbose=2,
    )
    print(f"to go on from here, restart the servers with --start-step {int(model.step)}")
    return model


if __name__ == "__main__":
    arguments = parse()
    serve(arguments) if arguments.verb == "serve" else train(arguments)
