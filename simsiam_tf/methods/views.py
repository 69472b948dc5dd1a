"""The views of a step: one augmenter a view, compiled, a pure function of (seed, step, view)."""

import tensorflow as tf

TRAIN_STREAM, TEST_STREAM = 0, 1


class Views:
    """Draws one view of a batch with each augmenter.

    Args:
        augmenters: Layers called as `augmenter(images, seed)`, on several replicas with `part=, parts=`, for pictures
            of different sizes with `sizes=`; one for each view, the same one for views that are alike.
    """

    def __init__(self, augmenters):
        # On a CPU the network is slower compiled than not, but the augmentation is several times faster.
        compiled = {id(each): _compiled(each) for each in augmenters}
        self._augment = [compiled[id(each)] for each in augmenters]

    def draw(self, images, seed, step, stream=TRAIN_STREAM, sizes=None):
        """A list of views (n, h, w, 3) float32 in [0, 255] of images (n, h, w, 3) or of their corners of `sizes`."""
        return list(self.one_by_one(images, seed, step, stream, sizes))

    def one_by_one(self, images, seed, step, stream=TRAIN_STREAM, sizes=None):
        """The same views, each drawn when it is asked for."""
        step, count = tf.cast(step, tf.int32), len(self._augment)
        context = tf.distribute.get_replica_context()
        replicas = context.num_replicas_in_sync if context else 1
        # Each replica draws the views that its part of the batch gets on one device.
        options = {} if sizes is None else {"sizes": sizes}
        if replicas > 1:
            options |= {"part": tf.cast(context.replica_id_in_sync_group, tf.int32), "parts": replicas}
        seeds = [tf.stack([seed, step * 2 * count + stream * count + view]) for view in range(count)]
        for augment, each in zip(self._augment, seeds, strict=True):
            yield augment(images, each, **options)


def _compiled(augmenter):
    return tf.function(
        lambda images, seed, **options: augmenter(images, seed, **options), jit_compile=True, autograph=False
    )
