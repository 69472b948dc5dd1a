"""Scaling on paper: the time of a step on N hosts, from figures that you give. Nothing here is measured.

    python benchmarks/scaling_model.py --images-per-second 1000 --share 32 --gbit 100

step = compute + gradients + BatchNorm
compute    = share / images_per_second                      (of a device by itself; augmentation included)
gradients  = 2 (N - 1) / N x bytes / bandwidth + latency    (ring all-reduce, float32, after the backward pass)
BatchNorm  = 2 x views x layers x latency                   (a small all-reduce forward, one backward; 0 without)
latency    = hop x 2 log2(N)                                (tree all-reduce of a small message)
"""

import argparse
import math

HOSTS = (1, 2, 4, 8, 16, 32, 64)


def parse(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images-per-second", type=float, default=1000, help="of one host by itself")
    parser.add_argument("--share", type=int, default=32, help="images of a batch per host")
    parser.add_argument("--gbit", type=float, default=100, help="bandwidth of a host's network, Gbit/s")
    parser.add_argument("--hop", type=float, default=10e-6, help="seconds that a small message takes to another host")
    parser.add_argument(
        "--parameters", type=float, default=38.2e6, help="of the network; default: ResNet-50 with heads"
    )
    parser.add_argument("--layers", type=int, default=57, help="of BatchNorm, heads included")
    parser.add_argument("--views", type=int, default=2)
    return parser.parse_args(words)


def step(hosts, a, synchronized):
    """Seconds of compute, gradients and BatchNorm."""
    latency = a.hop * 2 * math.log2(hosts)
    gradients = 2 * (hosts - 1) / hosts * 4 * a.parameters / (a.gbit * 1e9 / 8) + latency
    return a.share / a.images_per_second, gradients, 2 * a.views * a.layers * latency * synchronized


def main():
    a = parse()
    print("| hosts | batch | gradients, ms | BatchNorm, ms | images/s | efficiency | images/s without SyncBatchNorm |")
    print("|---|---|---|---|---|---|---|")
    for hosts in HOSTS:
        compute, gradients, norms = step(hosts, a, True)
        rate, without = (hosts * a.share / sum(step(hosts, a, on)) for on in (True, False))
        efficiency = compute / (compute + gradients + norms)
        print(
            f"| {hosts} | {hosts * a.share} | {1e3 * gradients:.1f} | {1e3 * norms:.1f} | {rate:,.0f} "
            f"| {100 * efficiency:.0f} % | {without:,.0f} |"
        )


if __name__ == "__main__":
    main()
