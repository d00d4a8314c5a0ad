"""SENet's published procedure, the peer of `npm run bench:accuracy`, written from its description.

    in   {"images": "x.u8", "shape": [n, h, w, c], "input": "scattering", "dictionary": 1000, "seconds": 180, "seed": 0,
          "affinity": "neighbours", "out": "folder"}
    out  {"steps": 2134, "loss": 12.3, "unexplained": 0.08, "inputSeconds": 20, "trainSeconds": 180, "affinitySeconds": 30, "entries": 3}

One line each. `x.u8` is raw bytes, or `"features": "x.f32", "shape": [n, d]` raw float32. The folder gets `columns.i32` and
`weights.f32`, [n, entries]: rows of a matrix whose symmetric part, (A + A^T) / 2, is the affinity.

1. Input: scattering coefficients, each map scaled to a largest value of 1, the 500 leading principal directions (not centred)
   of all samples; or the pixels. Rows of length 1.
2. Query and key networks of three hidden layers of 1024 and tanh at the end, 1024 wide; c_ij = T_b(<q_i, k_j>) / 1024, c_ii = 0,
   T_b the soft threshold with b learned. For batches of 100 of the dictionary, which is a random subset of the samples,

       gamma / 2 ||x_i - sum_j c_ij x_j||^2 + sum_j lambda |c_ij| + (1 - lambda) / 2 c_ij^2,    gamma = 200, lambda = 0.9

   Adam at 1e-3, a cosine to 0 at the end of the seconds it has (of processor time a thread: what else the machine does takes
   nothing from them), gradients clipped to a norm of 0.001.
3. Coefficients of all samples by all samples, the 1000 largest of each row. "neighbours": their rows at length 1, each joined to
   its 3 nearest; "symmetric": |c| itself, which is published for CIFAR-10.

Zhang et al. 2021, Learning a Self-Expressive Network for Subspace Clustering, CVPR, arXiv:2110.04318. It trains 100,000 steps on a
GPU; what a dictionary of 20,000 takes a step there does not fit here, so the dictionary is one of its smaller ones.
"""

import json
import os
import sys
import time
import warnings

warnings.filterwarnings("ignore", message="Failed to initialize NumPy")

import torch
from scattering import Scattering
from torch import nn
from torch.nn import functional as F

WIDTH, BATCH, GAMMA, LAMBDA, CLIP = 1024, 100, 200, 0.9, 1e-3
PRINCIPAL, KEPT, NEIGHBOURS = 500, 1000, 3
BLOCK = 500


def read(path, dtype, shape):
    return torch.frombuffer(bytearray(open(path, "rb").read()), dtype=dtype).reshape(shape)


def scattered(images):
    """[n, c, h, w] in 0..1 -> [n, features]: 28 x 28 gets a border of 2, so that sides divide by 8."""
    *_, h, w = images.shape
    side = -8 * (-max(h, w) // 8)
    top, left = (side - h) // 2, (side - w) // 2
    padded = F.pad(images, (left, side - w - left, top, side - h - top))
    scattering = Scattering(side)
    maps = torch.cat([scattering(channel) for channel in padded.unbind(1)], 1)
    return (maps / maps.abs().amax((2, 3), keepdim=True).clamp_min(1e-12)).flatten(1)


def principal(x, count):
    """x times its leading right singular vectors, by whichever of its Gram matrices is the smaller."""
    n, d = x.shape
    if n < d:
        squares, vectors = torch.linalg.eigh(x @ x.T)
        return vectors[:, -count:] * squares[-count:].clamp_min(0).sqrt()
    return x @ torch.linalg.eigh(x.T @ x)[1][:, -count:]


def inputs(request):
    if "features" in request:
        return F.normalize(read(request["features"], torch.float32, request["shape"]))
    images = read(request["images"], torch.uint8, request["shape"]).permute(0, 3, 1, 2).float() / 255
    if request["input"] == "pixels":
        return F.normalize(images.flatten(1))
    if request["input"] != "scattering":
        raise ValueError(f"input: expected scattering or pixels, got {request['input']!r}")
    features = scattered(images)
    return F.normalize(principal(features, min(PRINCIPAL, *features.shape)))


def embedding(width):
    layers = [nn.Linear(inputs, WIDTH) for inputs in (width, WIDTH, WIDTH, WIDTH)]
    for layer in layers:
        nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)
    first, second, third, output = layers
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third, nn.ReLU(), output, nn.Tanh())


class SENet(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.query, self.key = embedding(width), embedding(width)
        self.threshold = nn.Parameter(torch.zeros(()))

    def coefficients(self, queries, keys):
        s = queries @ keys.T
        return s.sign() * F.relu(s.abs() - self.threshold) / WIDTH


def loss_of(network, batch, rows, atoms):
    """Of the samples `rows` of the atoms, each without itself; and the share of them that is not rebuilt."""
    c = network.coefficients(network.query(batch), network.key(atoms))
    c = c * (torch.arange(len(atoms)) != rows[:, None])
    error = (batch - c @ atoms).square().sum()
    price = (LAMBDA * c.abs() + (1 - LAMBDA) / 2 * c.square()).sum()
    return (GAMMA / 2 * error + price) / len(batch), error.item() / len(batch)


def busy():
    """Seconds that each thread has computed for: what a clock shows on a machine that does nothing else."""
    return time.process_time() / torch.get_num_threads()


def train(x, atoms, seconds):
    network = SENet(x.shape[1])
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    began, steps = busy(), 0
    order = torch.empty(0, dtype=torch.long)
    while (done := (busy() - began) / seconds) < 1:
        if len(order) < BATCH:
            order = torch.cat([order, torch.randperm(len(atoms))])
        rows, order = order[:BATCH], order[BATCH:]
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * 0.5 * (1 + torch.cos(torch.tensor(done * torch.pi)).item())
        loss, unexplained = loss_of(network, atoms[rows], rows, atoms)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimizer.step()
        steps += 1
    return network, {"steps": steps, "loss": loss.item(), "unexplained": unexplained, "trainSeconds": busy() - began}


def largest_coefficients(network, x):
    """Columns and values of the largest of each row, [n, kept]; not those of a sample by itself."""
    keys = torch.cat([network.key(block) for block in x.split(BLOCK)])
    columns, values = [], []
    for first in range(0, len(x), BLOCK):
        c = network.coefficients(network.query(x[first:first + BLOCK]), keys)
        c[torch.arange(len(c)), first + torch.arange(len(c))] = 0
        _, top = c.abs().topk(min(KEPT, len(x) - 1), dim=1)
        columns.append(top)
        values.append(c.gather(1, top))
    return torch.cat(columns), torch.cat(values)


def nearest_rows(columns, values):
    """Each row's nearest others, by the cosine of sparse rows, [n, 3]."""
    n = len(columns)
    dense = torch.zeros(n, n).scatter_(1, columns, F.normalize(values))
    nearest = []
    for first in range(0, n, BLOCK):
        cosines = dense[first:first + BLOCK] @ dense.T
        cosines[torch.arange(len(cosines)), first + torch.arange(len(cosines))] = -2
        nearest.append(cosines.topk(NEIGHBOURS, dim=1).indices)
    return torch.cat(nearest)


def affinity(network, x, form):
    columns, values = largest_coefficients(network, x)
    if form == "symmetric":
        return columns, values.abs()
    if form != "neighbours":
        raise ValueError(f"affinity: expected neighbours or symmetric, got {form!r}")
    nearest = nearest_rows(columns, values)
    return nearest, torch.ones(nearest.shape)


def write(path, tensor):
    with open(path, "wb") as file:
        file.write(bytes(tensor.contiguous().flatten().view(torch.uint8).untyped_storage()))


def run(request):
    torch.manual_seed(request["seed"])
    torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    began = time.monotonic()
    x = inputs(request)
    prepared = time.monotonic()
    atoms = x[torch.randperm(len(x))[:request["dictionary"]]]
    network, told = train(x, atoms, request["seconds"])
    trained = time.monotonic()
    with torch.no_grad():
        columns, weights = affinity(network, x, request["affinity"])
    write(os.path.join(request["out"], "columns.i32"), columns.int())
    write(os.path.join(request["out"], "weights.f32"), weights.float())
    seconds = {"inputSeconds": prepared - began, "affinitySeconds": time.monotonic() - trained}
    return {**told, **seconds, "entries": columns.shape[1], "width": x.shape[1], "threshold": network.threshold.item()}


if __name__ == "__main__":
    try:
        print(json.dumps(run(json.loads(sys.stdin.readline()))), flush=True)
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
        sys.exit(1)
