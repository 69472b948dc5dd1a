"""The supervised benchmark: what a user would get from the labels alone (Aczel 2021, sec. 3.3).

The same backbone, augmentation and optimizer as in pre-training, but with labels and a cross entropy.
"""

import keras
import numpy as np
import tensorflow as tf

from simsiam_tf.cuda import trains_compiled
from simsiam_tf.errors import InputError
from simsiam_tf.evaluation.features import Extractor, as_labels, as_num_classes, in_batches
from simsiam_tf.optimizers import SGD, EpochCosine


class SupervisedBenchmark:
    """A classifier to be trained from scratch on one subset of labels after another.

    Network, optimizer and traced step are made once; `fit` resets every variable, so each subset starts from
    the same initial weights and costs its steps only, no trace.

    Args:
        backbone: Keras model, (n, h, w, 3) pixels in [0, 255] -> (n, d), freshly initialised. It is trained
            in place.
        num_classes: k outputs of the linear classifier on top.
        augmenter: augmenter(images, seed) -> float32 views; seed is an int32 tensor (2,), the only source of chance.
        steps_per_epoch, epochs: iterations are their product for every subset, however small, with the learning
            rate following a cosine per epoch.
        base_learning_rate: times batch_size / 256 is the learning rate.
        momentum, weight_decay: of SGD; the decay is coupled and on every variable.
        seed: of the classifier's initial weights, batches and views.
    """

    def __init__(
        self,
        backbone,
        num_classes,
        augmenter,
        *,
        steps_per_epoch,
        epochs,
        batch_size=512,
        base_learning_rate=0.03,
        momentum=0.9,
        weight_decay=5e-4,
        seed=0,
    ):
        if min(steps_per_epoch, epochs, batch_size) < 1:
            raise InputError(
                f"steps_per_epoch: {steps_per_epoch}, with epochs {epochs} and batch_size {batch_size}; "
                "give 1 or more of each"
            )
        # PyTorch's default for a linear layer's kernel, U(-1/sqrt(d), 1/sqrt(d)), as in the rest of the network.
        uniform = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform", seed=seed)
        head = keras.layers.Dense(num_classes, kernel_initializer=uniform, dtype="float32", name="classifier")
        self.model = keras.Model(backbone.input, head(backbone.output), name="supervised")
        self.epochs, self.steps_per_epoch = epochs, steps_per_epoch
        self.batch_size, self.seed = batch_size, seed
        schedule = EpochCosine(base_learning_rate * batch_size / 256, steps_per_epoch, epochs)
        self.optimizer = SGD(schedule, momentum=momentum, weight_decay=weight_decay)
        self.optimizer.build(self.model.trainable_variables)
        self._initial = [variable.numpy() for variable in self._variables]
        # As in methods.base: on a CPU the augmentation is faster compiled and the network is not.
        compiled = bool(tf.config.list_physical_devices("GPU")) and trains_compiled()
        self._augment = tf.function(lambda *args: augmenter(*args), jit_compile=True, autograph=False)
        self._network_step = tf.function(self._train_network, jit_compile=compiled, autograph=False)
        self._step = tf.function(self._train_step, autograph=False)
        self._logits = Extractor(self.model)

    @property
    def _variables(self):
        return [*self.model.variables, *self.optimizer.variables]

    def fit(self, images, labels):
        """Train from the initial weights on uint8 images (n, h, w, 3) and labels (n,).

        Returns the mean loss of the last epoch. Raises InputError for labels that are not class numbers below k.
        """
        labels = as_labels("labels", labels, len(images))
        as_num_classes(self.model.output_shape[-1], labels)
        for variable, value in zip(self._variables, self._initial, strict=True):
            variable.assign(value)
        order = batch_order(len(labels), self.epochs * self.steps_per_epoch, self.batch_size, self.seed)
        losses = [self._step(tf.constant(images[rows]), tf.constant(labels[rows])) for rows in order]
        return float(np.mean(losses[-self.steps_per_epoch :]))

    def accuracy(self, images, labels, batch_size=256) -> float:
        """Share of images classified right by the network as it is now, in inference mode, not augmented."""
        labels = as_labels("labels", labels, len(images))
        return float(np.mean(self._logits(in_batches(images, batch_size)).argmax(axis=1) == labels))

    def _train_step(self, images, labels):
        seed = tf.stack([self.seed, tf.cast(self.optimizer.iterations.value, tf.int32)])
        return self._network_step(self._augment(images, seed), labels)

    def _train_network(self, views, labels):
        with tf.GradientTape() as tape:
            logits = self.model(views, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        variables = self.model.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return loss


def batch_order(n, steps, batch, seed):
    """Yields for each step the indices (batch,) into n images: permutation after permutation, cut into batches.

    A set smaller than a batch thus gives full batches too, every image in them about equally often, each time
    under another augmentation.
    """
    generator = np.random.default_rng([seed, n])
    order = np.empty(0, np.int64)
    for _ in range(steps):
        while len(order) < batch:
            order = np.concatenate([order, generator.permutation(n)])
        yield order[:batch]
        order = order[batch:]


def train_supervised(backbone_builder, images, labels, *, num_classes, augmenter, **options) -> keras.Model:
    """Train one classifier on one labelled set and return it: uint8 images (n, h, w, 3) -> logits (n, num_classes).

    backbone_builder() makes the backbone; options are those of `SupervisedBenchmark`, which see for several subsets.
    """
    benchmark = SupervisedBenchmark(backbone_builder(), num_classes, augmenter, **options)
    benchmark.fit(images, labels)
    return benchmark.model
