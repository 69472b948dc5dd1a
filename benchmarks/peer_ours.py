"""Our SimSiam on images in a file, by `fit`: the work of peer_lightly.py, run by peer.py in a process of its own."""

import json
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the command does

import keras
import numpy as np

from simsiam_tf import Rates, SimSiam, make_optimizer, recipe
from simsiam_tf.cli.tensorflow import two_at_a_time
from simsiam_tf.data import from_arrays, training_batches
from simsiam_tf.evaluation.features import Extractor
from simsiam_tf.networks import resnet


class Watch(keras.callbacks.Callback):
    """Writes the seconds of training after each epoch, and features if they are wanted, whose time does not count."""

    def __init__(self, a, train, test):
        super().__init__()
        self.a, self.images, self.seconds, self.start = a, {"train": train, "test": test}, 0.0, time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds += time.perf_counter() - self.start
        if self.a["features"]:
            extract = Extractor(self.model.backbone)
            found = {name: extract.of(images) for name, images in self.images.items()}
            np.savez(f"{self.a['output']}-{epoch + 1}.npz", **found)
        with open(f"{self.a['output']}.jsonl", "a") as file:
            file.write(json.dumps({"epoch": epoch + 1, "seconds": self.seconds, "loss": logs["loss"]}) + "\n")
        self.start = time.perf_counter()


def main(a):
    keras.utils.set_random_seed(a["seed"])
    two_at_a_time()
    with np.load(a["images"]) as content:
        train, test = from_arrays(content["images"]), from_arrays(content["test_images"])
    side, steps = train.side, len(train) // a["batch_size"]
    backbone = resnet.build("resnet18", width=a["width"], seed=a["seed"])
    heads = {name: a[name] for name in ("projection_dim", "predictor_hidden")}
    heads |= {"projector_layers": 3, "projector_hidden": a["projection_dim"]}  # lightly's
    model = SimSiam(backbone, recipe("cifar10", image_size=side), seed=a["seed"], **heads)
    settings = {name: a[name] for name in ("learning_rate", "weight_decay", "batch_size", "epochs")}
    model.compile(optimizer=make_optimizer(model, steps, **settings))
    model.fit(
        training_batches(train, a["batch_size"], a["seed"]),
        epochs=a["epochs"],
        steps_per_epoch=steps,
        callbacks=[Rates(a["batch_size"]), Watch(a, train, test)],
        shuffle=False,
        verbose=0,
    )


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
