"""BatchNorm by the statistics of two replicas is BatchNorm of the whole batch, with one message each way."""

import subprocess
import sys

SYNCHRONIZED = """
import os
os.environ.update(CUDA_VISIBLE_DEVICES="-1", TF_CPP_MIN_LOG_LEVEL="2")
import numpy as np, tensorflow as tf
cpu, two = tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
from simsiam_tf.networks.layers import BatchNorm

def run(strategy, x, synchronized, cut=2, policy="float32", **options):
    with strategy.scope():
        layer = BatchNorm(synchronized=synchronized, dtype=policy, **options)
        layer.build(x.shape)
        for variable, values in zip(layer.variables, ([0.5, 1.0, -2.0], [0.1, 0.0, 0.3])):
            variable.assign(values)
        layer.moving_mean.assign([1.0, 2.0, -3.0])
    weights = [v.value for v in layer.trainable_variables]
    @tf.function
    def step(x):
        x = tf.cast(x, layer.compute_dtype)
        with tf.GradientTape() as tape:
            tape.watch([x, *weights])
            y = layer(x, training=True)
            loss = tf.reduce_sum(tf.sin(tf.cast(y, x.dtype)))
        return [tf.cast(each, "float64") for each in (y, *tape.gradient(loss, [x, *weights]))]
    count = strategy.num_replicas_in_sync
    parts = strategy.experimental_distribute_values_from_function(
        lambda c: tf.constant(np.split(x, [cut])[c.replica_id_in_sync_group] if count > 1 else x))
    y, d_x, *of_weights = [strategy.experimental_local_results(each) for each in strategy.run(step, (parts,))]
    of_weights = [np.sum(each, axis=0) for each in of_weights]
    return np.concatenate(y), np.concatenate(d_x), *of_weights, layer.moving_mean.numpy(), layer.moving_variance.numpy()

mirrored, sent = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), []
all_reduce = tf.distribute.ReplicaContext.all_reduce
tf.distribute.ReplicaContext.all_reduce = lambda *given: sent.append(tuple(given[-1].shape)) or all_reduce(*given)
for shape, bound, options in (
    ((8, 2, 2, 3), 3e-6, {}), ((8, 3), 3e-6, {"relu": True}), ((8, 4, 3), 1e-12, {"policy": "float64"}),
    ((8, 2, 2, 3), 2e-2, {"policy": "mixed_bfloat16"}), ((8, 3), 3e-6, {"scale": False, "center": False}),
    ((8, 3), 3e-6, {"cut": 1}), ((8, 2, 2, 3), 3e-6, {"cut": 0}),
):
    x = np.random.default_rng(0).normal(2, 3, shape)
    x = x if options.get("policy") == "float64" else x.astype("float32")
    sent.clear()
    one, two = run(tf.distribute.get_strategy(), x, False, **options), run(mirrored, x, True, **options)
    assert len(one) == len(two)
    for a, b in zip(one, two):
        np.testing.assert_allclose(a, b, atol=bound * max(1, np.abs(a).max()), err_msg=str(options))
    assert sorted(sent) == [(6,), (6,), (7,), (7,)], sent  # of each replica one forward, one on the way back
apart = run(mirrored, x, False)
assert np.abs(apart[0] - one[0]).max() > 0.01
print("same")
"""


def test_synchronized_over_two_unequal_replicas_is_one_batch():
    """In a process of its own, for the two devices must be declared before TensorFlow starts."""
    done = subprocess.run([sys.executable, "-c", SYNCHRONIZED], capture_output=True, text=True, check=False)
    assert done.stdout.endswith("same\n"), done.stderr[-2000:]
