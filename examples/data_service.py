"""A script of your own that is fed by other hosts, with the batches and the order of a single one.

    simsiam-tf serve --config photos --data.path PHOTOS --data.image_size 64 --port 5050    # on each host that decodes
    python examples/data_service.py --servers FIRST:5050 SECOND:5050 --path PHOTOS --model model.keras

Several servers take turns. The script saves after each epoch; started again it goes on from there, and the servers with
it: each is asked for the batches from the model's step on. The command does the same with --data.service.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras

from simsiam_tf import Rates, SimSiam, make_optimizer, recipe
from simsiam_tf.data import Servers, load, training_batches
from simsiam_tf.networks import resnet as backbones


def parse(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--servers", nargs="+", required=True, metavar="HOST:PORT", help="of simsiam-tf serve")
    parser.add_argument("--path", required=True, help="folder of the images, as the servers have it")
    parser.add_argument("--model", required=True, help=".keras file to save to, and to go on from if it is there")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--recipe", default="cifar10", help="of augmentation")
    parser.add_argument("--width", type=int, default=16, help="channels of the first stage of a ResNet-18")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(words)


def train(arguments):
    """Fit a small SimSiam for the rest of its epochs; returns the model."""
    a = arguments
    images = load("folder", path=a.path, image_size=a.image_size, memory_limit_gb=0).train  # their names, no pixel
    steps = len(images) // a.batch_size
    if os.path.exists(a.model):
        model = keras.models.load_model(a.model, safe_mode=True)
    else:
        model = SimSiam(backbones.build("resnet18", width=a.width), recipe(a.recipe, image_size=a.image_size))
        settings = {"learning_rate": 0.05, "batch_size": a.batch_size, "epochs": a.epochs}
        model.compile(optimizer=make_optimizer(model, steps, **settings))
    done = int(model.step)
    model.fit(
        training_batches(images, a.batch_size, a.seed, start_step=done, servers=Servers(a.servers, images)),
        initial_epoch=done // steps,
        epochs=a.epochs,
        steps_per_epoch=steps,
        callbacks=[Rates(a.batch_size), keras.callbacks.ModelCheckpoint(a.model)],
        shuffle=False,
        verbose=2,
    )
    return model


if __name__ == "__main__":
    train(parse())
