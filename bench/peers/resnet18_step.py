"""One training step of InfoNCE over two views through a ResNet-18 for 32 x 32 x 3, in PyTorch.

The network is models/resnet.ts: a 3x3 stem without pooling, four stages of two basic blocks, group in place of
batch normalisation, the mean over places, a dense latent. Padding is SAME in a mirror, as in autoencoder_step.py,
but for the strided 1x1 convolutions, which take the neighbouring pixel: the same work.

See He et al. 2016, arXiv:1512.03385; Wu & He 2018, arXiv:1803.08494; van den Oord et al. 2018, arXiv:1807.03748.
"""

from step import Step

import torch
from torch import nn
from torch.nn import functional as F

SIDE, WIDTH, LATENT, GROUPS, TEMPERATURE = 32, 64, 128, 8, 0.2


def normalised(inputs, outputs, size=3, stride=1):
    conv = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)
    nn.init.kaiming_uniform_(conv.weight, nonlinearity="relu")
    return nn.Sequential(conv, nn.GroupNorm(GROUPS, outputs))


class Block(nn.Module):
    """relu(F(x) + x)"""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.change = nn.Sequential(
            normalised(inputs, outputs, stride=stride), nn.ReLU(inplace=True), normalised(outputs, outputs)
        )
        self.shortcut = nn.Identity() if stride == 1 else normalised(inputs, outputs, 1, stride)

    def forward(self, x):
        return F.relu(self.change(x) + self.shortcut(x), inplace=True)


def resnet18():
    widths = [WIDTH * 2**stage for stage in range(4)]
    blocks = [
        block
        for inputs, outputs in zip([WIDTH, *widths], widths)
        for block in (Block(inputs, outputs, outputs // inputs), Block(outputs, outputs, 1))
    ]
    return nn.Sequential(
        normalised(3, WIDTH), nn.ReLU(inplace=True), *blocks,
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], LATENT),
    )


class ResNet18Step(Step):
    """Over two views of one batch, uniform random images of mean 0 in -2..2."""

    def __init__(self, batch, variant="channels_last", seed=0):
        super().__init__(variant, seed)
        self.views = (4 * torch.rand(2 * batch, 3, SIDE, SIDE) - 2).contiguous(memory_format=self.layout)
        self.pairs = torch.arange(2 * batch).roll(batch)
        self.prepare(resnet18())

    def loss(self):
        z = F.normalize(self.network(self.views))
        similarity = (z @ z.T / TEMPERATURE).fill_diagonal_(-torch.inf)
        return F.cross_entropy(similarity, self.pairs)
