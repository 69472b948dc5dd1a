"""The multilayer perceptrons that stand on a ResNet: projectors and predictors."""

from torch import nn


def mlp(inputs, hidden, outputs, layers=2, hidden_norm=True, output_norm="none"):
    """(n, inputs) -> (n, outputs): Linear, BatchNorm1d, ReLU for each hidden layer, then a last Linear.

    A Linear has a bias unless a BatchNorm follows it, which would take the bias off again.

    Args:
        inputs, hidden, outputs: widths; all hidden layers are alike.
        layers: the number of Linears, the last one included.
        hidden_norm: False leaves the BatchNorm of the hidden layers out.
        output_norm: after the last Linear "none", "plain" (BatchNorm without scale and offset) or "affine" (with both).
    """
    if output_norm not in ("none", "plain", "affine"):
        raise ValueError(f"output_norm is {output_norm!r}")
    modules = []
    for _ in range(layers - 1):
        modules.append(nn.Linear(inputs, hidden, bias=not hidden_norm))
        if hidden_norm:
            modules.append(nn.BatchNorm1d(hidden))
        modules.append(nn.ReLU())
        inputs = hidden
    modules.append(nn.Linear(inputs, outputs, bias=output_norm == "none"))
    if output_norm != "none":
        modules.append(nn.BatchNorm1d(outputs, affine=output_norm == "affine"))
    return nn.Sequential(*modules)
