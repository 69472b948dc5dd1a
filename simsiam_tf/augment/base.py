"""The keras-cv batch layer with stateless randomness; drawing and applying parameters are two public steps.

keras-cv's own layers draw from a generator whose state lives outside the model, so a batch cannot be
replayed and a resumed run differs. Here a layer called with a seed depends on that seed alone.
"""

import keras_cv
import tensorflow as tf


class AugmentationLayer(keras_cv.layers.VectorizedBaseImageAugmentationLayer):
    """Base of the augmentations. A subclass states `draw` and `augment_images`.

    `layer(images, seed)` is a pure function of both; `layer(images, seed, part, parts)` gives the views of a batch cut
    into `parts` equal parts for the part with number `part`; with `sizes`, integers (n, 2), image i is only the first
    sizes[i] rows and columns of what is given. `layer(images)` and `layer({"images": ..., "labels":
    ...})` keep keras-cv's contract and take the seed from TensorFlow's global generator.

    Pixels are float32 under every dtype policy: bfloat16 has too few digits for 256 levels. Layers return
    whole levels, as Pillow's 8-bit images do, hence a stack agrees with Pillow as closely as a single
    layer.

    Args:
        **kwargs: `name` and other arguments of `keras.layers.Layer`; `dtype` is float32 whatever is given.

    Input shape: (n, h, w, 3), uint8 or float, in [0, 255]; without a seed also (h, w, 3) or keras-cv's dict.
    Output shape: (n, h, w, 3) float32 unless the subclass resizes.
    """

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})

    def draw(self, n, h, w, seed):
        """Random parameters, independent per image.

        Args:
            n, h, w: number of images, height and width: integers or scalar tensors; h and w also (n,).
            seed: integer tensor (2,).

        Returns:
            A dict of tensors whose first axis is n; `augment_images` takes it as `transformations`.
        """
        raise NotImplementedError

    def call(self, inputs, seed=None, part=0, parts=1, sizes=None):
        if seed is None:
            return super().call(inputs)
        n, h, w = tf.unstack(tf.shape(inputs)[:3])
        if sizes is not None:  # of the images' own rows; what the other parts' rows draw is left out below
            h, w = tf.unstack(tf.tile(sizes, [parts, 1]), axis=1)
        drawn = self.draw(parts * n, h, w, seed)
        if parts > 1:  # the images' own rows of what the whole batch draws
            drawn = {name: tf.reshape(rows, [parts, n, *rows.shape[1:]])[part] for name, rows in drawn.items()}
        return self.augment_images(tf.cast(inputs, tf.float32), drawn)

    def get_random_transformation_batch(self, batch_size, images=None, **kwargs):
        seed = self._random_generator.make_seeds()[:, 0]
        return self.draw(batch_size, tf.shape(images)[1], tf.shape(images)[2], seed)

    def augment_labels(self, labels, transformations, **kwargs):
        return labels


def uniform(shape, seed):
    """Stateless U[0, 1), the same on every device, compiled or not.

    TensorFlow's own floats differ between XLA and its CPU kernels; the random bits of a named algorithm do
    not.
    """
    bits = tf.random.stateless_uniform(shape, seed, minval=None, maxval=None, dtype=tf.int32, alg="philox")
    return tf.cast(tf.bitwise.bitwise_and(bits, 2**24 - 1), tf.float32) * 2.0**-24


def whole_levels(pixels, halves=1e-4):
    """Round to the nearest 8-bit level, as Pillow's fixed-point arithmetic does.

    Exact halves are frequent (a crop magnified twice), and float32 errors would send them up on one device,
    down on another: `halves`, larger than those errors, sends them all up, or down if negative.
    """
    return tf.floor(pixels + (0.5 + halves))


def per_image(values):
    """(n,) -> (n, 1, 1): against one channel plane (n, h, w)."""
    return values[:, None, None]


def multiply_axes(images, rows, columns):
    """rows @ plane @ columns' for every image and channel, rounded to whole levels after each product.

    Columns first, as in every Pillow before 13. Pillow 13 takes the rows first where that saves work, which
    differs by one level in a quarter of the pixels.

    One product per channel, because compiled on CPU this takes a third of the time of a product over all
    channels, which needs transposed copies.

    Args:
        images: (n, h, w, c) float32; rows: (n, i, h); columns: (n, j, w).

    Returns:
        (n, i, j, c) float32.
    """
    planes = [tf.matmul(plane, columns, transpose_b=True) for plane in tf.unstack(images, axis=3)]
    return whole_levels(tf.stack([rows @ whole_levels(plane) for plane in planes], axis=3))
