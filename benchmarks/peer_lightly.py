"""lightly's SimSiam on images in a file: its transform in workers, its heads, its loss, as its documentation has it.

Run by peer.py, with the Python of an environment that has lightly and torchvision. The network is the tests' oracle, a
ResNet of any width with torchvision's modules; SGD, its schedule and the pixels' mean and deviation are those of ours.
"""

import json
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
from lightly.loss import NegativeCosineSimilarity
from lightly.models.modules import SimSiamPredictionHead, SimSiamProjectionHead
from lightly.transforms import SimSiamTransform
from PIL import Image

sys.path.append(str(Path(__file__).parents[1] / "tests"))

import oracle

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


class Pairs(torch.utils.data.Dataset):
    def __init__(self, images, side):
        self.images = images
        self.views = SimSiamTransform(side, gaussian_blur=0.0, normalize={"mean": MEAN, "std": STD})

    def __len__(self):
        return len(self.images)

    def __getitem__(self, row):
        return self.views(Image.fromarray(self.images[row]))


class SimSiam(torch.nn.Module):
    def __init__(self, a):
        super().__init__()
        self.encoder = oracle.ResNet("resnet18", "cifar", a["width"])
        dim = self.encoder.feature_dim
        for module in self.encoder.modules():  # torchvision's beginning
            if isinstance(module, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.projector = SimSiamProjectionHead(dim, a["projection_dim"], a["projection_dim"])
        self.predictor = SimSiamPredictionHead(a["projection_dim"], a["predictor_hidden"], a["projection_dim"])

    def forward(self, x):
        z = self.projector(self.encoder(x))
        return z.detach(), self.predictor(z)


def features(encoder, images):
    encoder.eval()
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (MEAN, STD))
    with torch.inference_mode():
        found = [
            encoder((torch.from_numpy(part).permute(0, 3, 1, 2).float() / 255 - mean) / std).numpy()
            for part in np.array_split(images, max(1, len(images) // 500))
        ]
    encoder.train()
    return np.concatenate(found)


def main(a):
    torch.manual_seed(a["seed"])
    torch.set_num_threads(a["threads"])
    with np.load(a["images"]) as content:
        train, test = content["images"], content["test_images"]
    model, criterion = SimSiam(a), NegativeCosineSimilarity()
    loader = torch.utils.data.DataLoader(
        Pairs(train, train.shape[1]),
        a["batch_size"],
        shuffle=True,
        drop_last=True,
        num_workers=a["workers"],
        persistent_workers=a["workers"] > 0,
    )
    rate, steps = a["learning_rate"] * a["batch_size"] / 256, a["epochs"] * len(loader)
    following = [*model.encoder.parameters(), *model.projector.parameters()]
    groups = [{"params": following}, {"params": model.predictor.parameters()}]
    sgd = torch.optim.SGD(groups, rate, momentum=0.9, weight_decay=a["weight_decay"])
    step = seconds = 0
    for epoch in range(a["epochs"]):
        start = time.perf_counter()
        for first, second in loader:
            sgd.param_groups[0]["lr"] = rate * 0.5 * (1 + math.cos(math.pi * step / steps))
            (z1, p1), (z2, p2) = model(first), model(second)
            loss = 0.5 * (criterion(z1, p2) + criterion(z2, p1))
            sgd.zero_grad()
            loss.backward()
            sgd.step()
            step += 1
        seconds += time.perf_counter() - start
        row = {"epoch": epoch + 1, "seconds": seconds, "loss": loss.item()}
        if a["features"]:
            found = {name: features(model.encoder, images) for name, images in (("train", train), ("test", test))}
            np.savez(f"{a['output']}-{epoch + 1}.npz", **found)
        with open(f"{a['output']}.jsonl", "a") as file:
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
