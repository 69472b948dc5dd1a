"""Vision Transformer (Dosovitskiy et al. 2021) in PyTorch with timm's parameter names."""

import math

import torch
from torch import nn


class Attention(nn.Module):
    """Tokens (n, l, d) -> (n, l, d), head by head."""

    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        query, key, value = self.qkv(x).chunk(3, dim=-1)
        width = query.shape[-1] // self.heads
        mixed = []
        for head in range(self.heads):
            own = slice(head * width, (head + 1) * width)
            scores = query[..., own] @ key[..., own].transpose(1, 2) / math.sqrt(width)
            mixed.append(scores.softmax(-1) @ value[..., own])
        return self.proj(torch.cat(mixed, -1))


class Mlp(nn.Module):
    """Two layers with an exact GELU between them."""

    factor = math.sqrt(1 / 2)

    def __init__(self, dim):
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x):
        x = self.fc1(x)
        return self.fc2(x * (1 + torch.erf(x * self.factor)) / 2)


class Block(nn.Module):
    """Pre-norm."""

    def __init__(self, dim, heads):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    """Images (n, 3, h, w) -> patches row by row (n, l, d)."""

    def __init__(self, dim, patch):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch, patch)

    def forward(self, x):
        return self.proj(x).flatten(2).transpose(1, 2)


class ViT(nn.Module):
    """Normalised images (n, 3, size, size) -> head(class token (n, d)); `head` is the identity until it is set."""

    def __init__(self, size, patch=16, dim=384, depth=12, heads=12):
        super().__init__()
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.randn(1, 1 + (size // patch) ** 2, dim))
        self.patch_embed = PatchEmbed(dim, patch)
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.head = nn.Identity()

    def forward(self, x):
        x = self.patch_embed(x)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


def sincos(side, dim, temperature=10_000.0):
    """MoCo v3's fixed positions (1, 1 + side^2, dim), number by number, in float64."""
    table = torch.zeros(1, 1 + side**2, dim, dtype=torch.float64)
    quarter = dim // 4
    for row in range(side):
        for column in range(side):
            for i in range(quarter):
                rate = 1 / temperature ** (i / quarter)
                values = (math.sin(row * rate), math.cos(row * rate), math.sin(column * rate), math.cos(column * rate))
                for part, value in enumerate(values):
                    table[0, 1 + row * side + column, part * quarter + i] = value
    return table


def randomised(net, seed=0):
    """Every weight drawn, LayerNorms' scales and biases, too, so that none can be left out unnoticed."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in net.named_parameters():
        scale = 1 / math.sqrt(parameter.shape[-1]) if parameter.ndim == 2 else 0.3
        parameter.data = torch.randn(parameter.shape, generator=generator) * scale + (".norm" in name)
    return net.eval()
