"""What tf2onnx lacks to write the backbones here."""

import numpy as np


def teach_tf2onnx() -> None:
    """Let tf2onnx write erfc z as 1 - erf z: TensorFlow's GELU is x erfc(-x / sqrt 2) / 2."""
    from tf2onnx.handler import tf_op

    tf_op("Erfc").register_compat_handler(_erfc, 9)  # Erf is ONNX's from version 9 on


def _erfc(graph, node, **options):
    name, outputs = node.name, node.output
    shapes, dtypes = node.output_shapes, node.output_dtypes
    erf = graph.make_node("Erf", node.input, name=f"{name}/erf", shapes=shapes, dtypes=dtypes)
    one = graph.make_const(f"{name}/one", np.array(1, "float32"))
    graph.remove_node(name)
    graph.make_node("Sub", [one.output[0], erf.output[0]], outputs=outputs, name=name, shapes=shapes, dtypes=dtypes)
