"""Features learned without labels, then a classifier on them by a tenth of the labels, beside one from scratch.

    python examples/fine_tune.py            # the built-in digits, two minutes
    python examples/fine_tune.py --epochs 5 # quicker, and worse

The commands for it are `simsiam-tf train --config digits` and `simsiam-tf finetune runs/digits --fraction 0.1`.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from simsiam_tf import Classifier, SimSiam, backbones, make_optimizer, recipe
from simsiam_tf.data import load
from simsiam_tf.data.subsets import stratified_subset

BATCH = 64


def encoder():
    return backbones.build("resnet18", width=8, mean=(0.305,) * 3, std=(0.34,) * 3)


def pretrained(images, epochs):
    """An encoder that has never seen a label."""
    model = SimSiam(encoder(), recipe("digits", image_size=16), projection_dim=256, predictor_hidden=64)
    steps = len(images) // BATCH
    model.compile(make_optimizer(model, steps, learning_rate=0.8, batch_size=BATCH, epochs=epochs))
    model.fit(images[: steps * BATCH], batch_size=BATCH, epochs=epochs, verbose=0)
    return model.backbone


def accuracy(backbone, images, labels, test, encoder_ratio, epochs):
    """Of a classifier on this encoder, which learns from these labels; encoder_ratio 0 leaves the encoder as it is."""
    crops = recipe("none", image_size=16, min_area=0.6)
    model = Classifier(backbone, crops, num_classes=10, encoder_ratio=encoder_ratio)
    steps = max(10, -(-len(images) // BATCH))  # ten steps an epoch, however few the labels
    rows = np.arange(steps * BATCH) % len(images)
    images, labels = images[rows], labels[rows]
    model.compile(make_optimizer(model, steps, learning_rate=0.3, batch_size=BATCH, epochs=epochs))
    model.fit(images, labels, batch_size=BATCH, epochs=epochs, verbose=0)
    return float(np.mean(np.argmax(model.project(test[0]), axis=1) == test[1]))


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=30, help="without labels; with them half as many")
    parser.add_argument("--fraction", type=float, default=0.1, help="share of the labels")
    a = parser.parse_args(arguments)
    train, test = load("digits", image_size=16, validation_fraction=0.2)
    images, held = (np.concatenate(list(part.batches(256))) for part in (train, test))
    rows = stratified_subset(train.labels, a.fraction, seed=0)
    known, some = (images[rows], train.labels[rows], (held, test.labels)), max(1, a.epochs // 2)

    learned = pretrained(images, a.epochs)
    found = {
        "linear, on the encoder as it is": accuracy(learned, *known, 0, some),
        "with the encoder": accuracy(learned, *known, 0.1, some),
        "from scratch": accuracy(encoder(), *known, 1, some),
    }
    for name, share in found.items():
        print(f"{name}: {100 * share:.1f} % of {len(held)} test images, by {len(rows)} labels")
    return found


if __name__ == "__main__":
    main()
