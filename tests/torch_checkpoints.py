"""Checkpoints that the PyTorch oracle writes in the official layout, and what it makes of images."""

import numpy as np
import torch

from oracle import SimSiam
from simsiam_tf.interop import torch_state, weights
from simsiam_tf.runs import transfer
from simsiam_tf.runs.build import build_method
from simsiam_tf.settings import files

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
CIFAR = {"name": "resnet18", "stem": "cifar", "width": 8, "layers": 2, "dim": 24, "predictor_hidden": 6}
IMAGENET = {"name": "resnet50", "stem": "imagenet", "width": 8, "layers": 3, "dim": 32, "predictor_hidden": 8}


def oracle(seed=0, idle_bias=True, **arguments):
    """The oracle in inference mode, every statistic, scale and bias drawn; as the official code with an idle bias."""
    torch.manual_seed(seed)
    net = SimSiam(**(CIFAR | arguments))
    last = next(i for i in range(len(net.encoder.fc) - 1, -1, -1) if isinstance(net.encoder.fc[i], torch.nn.Linear))
    if idle_bias:
        net.encoder.fc[last] = torch.nn.Linear(net.encoder.fc[last].in_features, net.encoder.fc[last].out_features)
    return draw_norms(net).eval()


def draw_norms(net):
    """The network, every statistic, scale and bias of its BatchNorms drawn."""
    for module in net.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 1.5)
            module.num_batches_tracked.fill_(34)
            if module.affine:
                torch.nn.init.uniform_(module.weight, 0.5, 1.0)
                torch.nn.init.normal_(module.bias)
    return net


def checkpoint(path, net, wrap=True, **options):
    """Written as the official main_simsiam.py does, DataParallel and optimizer included."""
    outer = torch.nn.DataParallel(net) if wrap else net
    sgd = torch.optim.SGD(outer.parameters(), 0.1, momentum=0.9)
    content = {"epoch": 7, "arch": "resnet", "state_dict": outer.state_dict(), "optimizer": sgd.state_dict()}
    torch.save(content, path, **options)
    return path


def brought_in(path, *given):
    """The Keras method that import-weights makes of a file, what was the file's, and its configuration."""
    state = torch_state.read(path)
    parser = files.OneLineParser(prog="test")
    config = files.parse(parser, transfer.arguments_for(state, list(given)))[1]
    model = build_method(config)
    return model, weights.assign(state, model.backbone, model.heads), config


def images(size=32, n=4):
    return np.random.default_rng(1).integers(0, 256, (n, size, size, 3)).astype("uint8")


def normalised(pixels, mean, std):
    return torch.tensor(((pixels / 255 - mean) / std).transpose(0, 3, 1, 2).astype("float32"))


def agreement(ours, theirs):
    """Largest difference over the largest value."""
    theirs = theirs.detach().numpy()
    return np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max()
