"""One training step of an energy head in PyTorch: models/energy.ts on latents that are given.

    c = softthreshold(<q(z), k(d)> / p, b) where z and d are of different samples, else 0
    loss = mean over the batch of [ gamma / 2 ||z - c D||^2 + sum_j lambda |c_j| + (1 - lambda) / 2 c_j^2 ]

D, the dictionary, is the batch and a queue; q and k are networks 256-256-128 with tanh at the end; b is learned.

See Zhang et al. 2021, Learning a Self-Expressive Network for Subspace Clustering, arXiv:2110.04318.
"""

import math

from step import Step

import torch
from torch import nn
from torch.nn import functional as F

LATENT, QUEUE, SAMPLES = 128, 1024, 60_000
WIDTHS = [LATENT, 256, 256, 128]
GAMMA, LAMBDA, STEEPNESS = 200, 0.9, 100


def embedding():
    layers = [nn.Linear(inputs, outputs) for inputs, outputs in zip(WIDTHS, WIDTHS[1:])]
    for layer in layers:
        is_output = layer is layers[-1]
        limit = math.sqrt((3 if is_output else 6) / layer.in_features)
        nn.init.uniform_(layer.weight, -limit, limit)
        nn.init.zeros_(layer.bias)
    first, second, output = layers
    relu = lambda: nn.ReLU(inplace=True)
    return nn.Sequential(first, relu(), second, relu(), output, nn.Tanh())


class EnergyNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.query, self.key = embedding(), embedding()
        self.threshold = nn.Parameter(torch.zeros(()))

    def forward(self, latents, atoms, others):
        scale = math.sqrt(LATENT)
        s = (self.query(latents * scale) / WIDTHS[-1]) @ self.key(atoms * scale).T
        b = F.softplus(self.threshold, beta=STEEPNESS)
        return (F.relu(s - b) - F.relu(-s - b)) * others


class EnergyStep(Step):
    """Over one batch and queue of random unit latents."""

    def __init__(self, batch, variant="contiguous", seed=0):
        super().__init__(variant, seed)
        self.latents = F.normalize(torch.randn(batch, LATENT))
        self.queue = F.normalize(torch.randn(QUEUE, LATENT))
        self.index = torch.arange(batch)
        self.owners = torch.randint(SAMPLES, (QUEUE,))
        self.prepare(EnergyNetwork())

    def loss(self):
        z = self.latents
        atoms = torch.cat([z, self.queue])
        owners = torch.cat([self.index, self.owners])
        c = self.network(z, atoms, (self.index[:, None] != owners).float())
        fit = GAMMA / 2 * (z - c @ atoms).square().sum()
        price = (LAMBDA * c.abs() + (1 - LAMBDA) / 2 * c.square()).sum()
        return (fit + price) / len(z)
