"""SimSiam on a Keras network of your own, on your own arrays, then features and neighbours from it.

python examples/own_backbone.py                                   # on the built-in digits, half a minute
python examples/own_backbone.py --images photos.npy --epochs 100  # uint8 (n, h, w, 3)
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np

from simsiam_tf import CollapseMonitor, SimSiam, make_optimizer, recipe
from simsiam_tf.data import load


def backbone(side, width=32):
    """Any Keras model will do that begins with keras.Input((h, w, 3)) and ends in features (n, d)."""
    images = keras.Input((side, side, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1)(images)  # pixels from 0 to 255 come in
    for factor in (1, 2, 4):
        x = keras.layers.Conv2D(factor * width, 3, 2, "same", use_bias=False)(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x), name="mine")


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", help=".npy file of uint8 (n, h, w, 3); default: the digits")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch", type=int, default=64)
    a = parser.parse_args(arguments)
    images = np.load(a.images) if a.images else np.concatenate(list(load("digits", image_size=16).train.batches(256)))

    side, steps = images.shape[1], len(images) // a.batch
    model = SimSiam(backbone(side), recipe("digits", image_size=side), projection_dim=128, predictor_hidden=32)
    model.compile(make_optimizer(model, steps, learning_rate=0.4, batch_size=a.batch, epochs=a.epochs))
    monitor = CollapseMonitor(images)
    model.fit(images[: steps * a.batch], batch_size=a.batch, epochs=a.epochs, callbacks=[monitor], verbose=2)
    print(monitor.sentence)

    features = model.predict(images, verbose=0)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    nearest = np.argsort(-unit[:5] @ unit.T, axis=1)[:, 1:6]
    for row, others in enumerate(nearest):
        print(f"image {row} is most like images {others.tolist()}")
    return features


if __name__ == "__main__":
    main()
