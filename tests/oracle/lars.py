"""LARS (You et al. 2017) in the form that BYOL trains with (Grill et al. 2020, and DeepMind's release)."""

import torch


class LARS(torch.optim.Optimizer):
    """Momentum SGD whose step is scaled, tensor by tensor, to the length of the weights.

    For a weight w with gradient g, where |.| is the length of the whole tensor taken as one vector:

        g = g + weight_decay w
        g = g eta |w| / |g|     unless |w| or |g| is 0
        v = momentum v + g
        w = w - lr v

    The rate stands outside of v: when it changes, what v has gathered is scaled by the new one. You et al. have it
    inside, and |g| + weight_decay |w| for the length of the sum.

    Args:
        params: parameters, or groups of them with an `lr` of their own; without a gradient one is left alone.
        lr, weight_decay, momentum, eta: as above.
        exclude: biases and BatchNorm scales and offsets, all of one dimension, get no decay and no scaling (the first
            two lines), just momentum SGD.
    """

    def __init__(self, params, lr, weight_decay=1.5e-6, momentum=0.9, eta=1e-3, exclude=True):
        defaults = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "eta": eta, "exclude": exclude}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for w in group["params"]:
                if w.grad is None:
                    continue
                g = w.grad
                if not (group["exclude"] and w.ndim == 1):
                    g = g + group["weight_decay"] * w
                    w_length = w.square().sum().sqrt()
                    g_length = g.square().sum().sqrt()
                    if w_length > 0 and g_length > 0:
                        g = g * (group["eta"] * w_length / g_length)
                state = self.state[w]
                if "v" not in state:
                    state["v"] = torch.zeros_like(w)
                state["v"] = group["momentum"] * state["v"] + g
                w.sub_(group["lr"] * state["v"])
