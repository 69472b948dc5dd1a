"""timm's own ViT-S/16, drawn anew, read by `import-weights`: do both give the same features?

    L/bin/pip install timm==1.0.29 torch==2.14.1 torchvision==0.29.1
    python benchmarks/timm_weights.py --timm L/bin/python --json benchmarks/results/timm_weights.json

12 layers, 6 heads, learned positions, 224 px. Published weights are not needed: drawn ones, those of LayerNorms and
biases included, tell a difference as well. timm's part runs this file in its own environment, which has no TensorFlow.
"""

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def theirs(folder):
    """Write timm's weights, and the features of its class token, of the images in this folder."""
    import timm
    import torch

    torch.manual_seed(0)
    network = timm.create_model("vit_small_patch16_224", pretrained=False).eval()
    for name, parameter in network.named_parameters():
        if parameter.ndim == 1 or name in ("cls_token", "pos_embed"):
            torch.nn.init.normal_(parameter, parameter.mean().item(), 0.1)
    torch.save(network.state_dict(), folder / "vit.pth")
    pixels = np.load(folder / "images.npy")
    views = torch.tensor(((pixels / 255 - MEAN) / STD).transpose(0, 3, 1, 2), dtype=torch.float32)
    with torch.inference_mode():
        np.save(folder / "theirs.npy", network.forward_features(views)[:, 0].numpy())
    print(json.dumps({"timm": timm.__version__, "torch": torch.__version__}))


def ours(folder):
    """The features of the run that `import-weights` makes of these weights."""
    from simsiam_tf.cli.main import main as simsiam_tf
    from simsiam_tf.interop.export import load_keras

    command = ["import-weights", str(folder / "vit.pth"), f"--output={folder}", "--name=vit"]
    if simsiam_tf(command):
        raise SystemExit("timm's weights were not read")
    return np.asarray(load_keras(folder / "vit" / "backbone.keras")(np.load(folder / "images.npy")))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--timm", metavar="PYTHON", help="of an environment with timm")
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--json", metavar="FILE", help="write the figures here, too")
    parser.add_argument("--theirs", metavar="FOLDER", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not (arguments.theirs or arguments.timm):
        parser.error("--timm: none given; give the Python of an environment with timm")
    if arguments.theirs:
        theirs(arguments.theirs)
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import record

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        pixels = np.random.default_rng(0).integers(0, 256, (arguments.images, 224, 224, 3), np.uint8)
        np.save(folder / "images.npy", pixels)
        command = [arguments.timm, __file__, f"--theirs={folder}"]
        versions = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        found, expected = ours(folder), np.load(folder / "theirs.npy")
    error = float(np.abs(found - expected).max() / np.abs(expected).max())
    print(f"{arguments.images} images, features {found.shape}: largest difference {error:.1e} of the largest feature")
    if arguments.json:
        record.write(arguments.json, {"images": arguments.images, "largest_relative_difference": error} | versions)


if __name__ == "__main__":
    main()
