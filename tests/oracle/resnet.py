"""ResNet (He et al. 2016) in PyTorch with torchvision's module names, for 32 px (CIFAR stem) and 224 px."""

import torch
from torch import nn

DEPTHS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}


def conv(inputs, outputs, size, stride=1):
    return nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)


class Block(nn.Module):
    """Basic block (two 3x3) or bottleneck (1x1, 3x3 with the stride, 1x1 to four times the width)."""

    def __init__(self, inputs, width, stride, bottleneck):
        super().__init__()
        outputs = width * (4 if bottleneck else 1)
        self.depth = 3 if bottleneck else 2
        plan = (
            [(inputs, width, 1, 1), (width, width, 3, stride), (width, outputs, 1, 1)]
            if bottleneck
            else [(inputs, width, 3, stride), (width, width, 3, 1)]
        )
        for i, layer in enumerate(plan, start=1):
            setattr(self, f"conv{i}", conv(*layer))
            setattr(self, f"bn{i}", nn.BatchNorm2d(layer[1]))
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))

    def forward(self, x):
        out = x
        for i in range(1, self.depth + 1):
            out = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(out))
            if i < self.depth:
                out = out.relu()
        return (out + (x if self.downsample is None else self.downsample(x))).relu()


class ResNet(nn.Module):
    """Normalised images (n, 3, h, w) -> fc(pooled features (n, d)); `fc` is the identity until it is set.

    Args:
        name: resnet18, resnet34 or resnet50.
        stem: "cifar" (3x3, stride 1, no pooling) or "imagenet".
        width: channels of the first stage.
    """

    def __init__(self, name, stem="cifar", width=64):
        super().__init__()
        bottleneck = name == "resnet50"
        self.conv1 = conv(3, width, 3, 1) if stem == "cifar" else conv(3, width, 7, 2)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.Identity() if stem == "cifar" else nn.MaxPool2d(3, 2, padding=1)
        inputs = width
        for stage, depth in enumerate(DEPTHS[name]):
            blocks = []
            for index in range(depth):
                stride = 2 if stage and not index else 1
                blocks.append(Block(inputs, width * 2**stage, stride, bottleneck))
                inputs = width * 2**stage * (4 if bottleneck else 1)
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.feature_dim = inputs
        self.fc = nn.Identity()

    def features(self, x):
        x = self.maxpool(self.bn1(self.conv1(x)).relu())
        for stage in range(1, 5):
            x = getattr(self, f"layer{stage}")(x)
        return torch.flatten(x.mean(dim=(2, 3)), 1)

    def forward(self, x):
        return self.fc(self.features(x))
