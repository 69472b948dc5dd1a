"""SimSiam on a Vision Transformer under AdamW, step by step against PyTorch in float64."""

import keras
import numpy as np
import pytest
import torch

import oracle
from followers import AXES, EPOCHS, SIZE, STEPS_PER_EPOCH, N, step_and_loss, views
from oracle.simsiam import set_rates
from oracle.vit import Mlp, ViT, randomised, sincos
from parity import MEAN, STD, assert_close
from simsiam_tf import SimSiam, make_optimizer, networks
from simsiam_tf.augment import recipe
from simsiam_tf.interop import weights
from simsiam_tf.interop.torch_state import State

VIT = {"patch": 4, "dim": 32, "depth": 2, "heads": 4}
HEADS = {"dim": 16, "predictor_hidden": 8}
RATE = 1e-2
# Keras's AdamW has its numbers in float32 in every precision, the betas and what is missing to 1 each by itself.
DECAY, EPSILON, *BETAS = (float(np.float32(each)) for each in (0.1, 1e-8, 0.9, 0.999))
SHARES = [float(np.float32(1 - each)) for each in (0.9, 0.999)]


class AdamW(torch.optim.Optimizer):
    """Loshchilov & Hutter 2019, algorithm 2; epsilon is added before the second moment is corrected, as in Keras."""

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                known = self.state[parameter]
                known["t"] = known.get("t", 0) + 1
                first, second = (known.setdefault(name, torch.zeros_like(parameter)) for name in ("m", "v"))
                first += SHARES[0] * (parameter.grad - first)
                second += SHARES[1] * (parameter.grad**2 - second)
                corrections = [1 - beta ** known["t"] for beta in BETAS]
                parameter -= group["lr"] * DECAY * parameter
                parameter -= group["lr"] * corrections[1] ** 0.5 / corrections[0] * first / (second.sqrt() + EPSILON)


def theirs():
    """The oracle's heads on its ViT, with fixed positions and a patch projection that rests."""
    torch.manual_seed(0)  # a gradient near AdamW's epsilon would be left to rounding
    model = oracle.SimSiam("resnet18", "cifar", VIT["dim"] // 8, **HEADS)
    net = randomised(ViT(SIZE, **VIT))
    net.pos_embed.data = sincos(SIZE // VIT["patch"], VIT["dim"])
    for still in (net.pos_embed, *net.patch_embed.parameters()):
        still.requires_grad_(False)
    net.head, model.encoder = model.encoder.fc, net
    return model.double()


def ours(model):
    """The package's, with the weights of this one."""
    backbone = networks.build("vit_small", mean=tuple(MEAN), std=tuple(STD), **VIT)
    augmenter = recipe("none", image_size=SIZE, min_area=0.3, flip=0.5)
    found = SimSiam(backbone, augmenter, projection_dim=HEADS["dim"], predictor_hidden=HEADS["predictor_hidden"])
    arrays = {k: v.numpy() for k, v in model.encoder.state_dict().items() if not k.startswith(("head.", "pos_embed"))}
    weights.assign(State("net", arrays, {}, ("", ""), {}), backbone)
    state = model.state_dict()
    for variable, name in heads(found):
        value = state[name].numpy()
        variable.assign(value.T)
    settings = {"learning_rate": RATE * 256 / N, "batch_size": N, "epochs": EPOCHS, "weight_decay": DECAY}
    optimizer = make_optimizer(found, STEPS_PER_EPOCH, "adamw", warmup_epochs=1, epsilon=EPSILON, **settings)
    found.compile(optimizer, jit_compile=False)
    found.optimizer.build(found.trainable_variables)
    return found


def heads(model):
    """[(variable, its name in the oracle)]"""
    variables = [*model.projector.variables, *model.predictor.variables]
    names = [oracle.carry.torch_name(v.path).replace("encoder.fc.", "encoder.head.") for v in variables]
    return list(zip(variables, names, strict=True))


def state(model, shapes):
    """{the oracle's name: array in the oracle's shape} of ours."""
    found = {f"encoder.{name}": variable for name, variable in weights.variables(model.backbone).items()}
    found |= {name: variable for variable, name in heads(model)}
    arrays = {name: variable.numpy().transpose(AXES[len(variable.shape)]) for name, variable in found.items()}
    return {name: array.reshape(shapes[name]) for name, array in arrays.items()}


def test_steps_with_warm_up_are_pytorchs(monkeypatch):
    """TensorFlow's GELU has float32's 1 / sqrt 2 in every precision."""
    monkeypatch.setattr(Mlp, "factor", float(np.float32(Mlp.factor)))
    keras.config.set_dtype_policy("float64")
    net = theirs()
    model = ours(net)
    trained = [[p for p in part.parameters() if p.requires_grad] for part in (net.encoder, net.predictor)]
    adamw = AdamW([{"params": each} for each in trained], {"lr": RATE})
    shapes = {name: value.shape for name, value in net.state_dict().items()}
    before = state(model, shapes)
    for step in range(6):
        set_rates(adamw, step, RATE, STEPS_PER_EPOCH, EPOCHS, warmup_epochs=1)
        loss = oracle.train_step(net, adamw, *views(model, step))
        assert step_and_loss(model) == pytest.approx(loss, abs=1e-8)
        expected = {name: value.numpy() for name, value in net.state_dict().items() if "num_batches" not in name}
        expected.pop("encoder.pos_embed")
        assert_close(state(model, shapes), expected, bound=1e-7, zero=1e-6)
    after = state(model, shapes)
    del after["predictor.1.running_mean"]  # of projections that BatchNorm has centred: 0
    for name, array in after.items():
        moved = np.abs(array - before[name]).max()
        assert (moved == 0) if "patch_embed" in name else (moved > 1e-4), name
