"""Checks of the SENet peer, run by hand: `.venv/bench/bin/python bench/peers/check_senet.py`. It ends with what it found, or an error.

1. The wavelets and the Gaussian tile the plane of frequencies: scattering neither loses an image nor blows it up.
2. An image of one brightness has coefficients of order 0 alone.
3. Of samples from known subspaces the network learns to join each with its own: nearly all nearest rows are of its subspace.
"""

import scattering
import senet

import torch
from torch.nn import functional as F


def check_tiling():
    bank = scattering.Scattering(32)
    waves = torch.stack([wavelet for octave in bank.wavelets for wavelet in octave]).square()
    mirrored = waves.flip((1, 2)).roll((1, 1), (1, 2))
    total = bank.lows[0].square() + (waves + mirrored).sum(0) / 2
    inside = torch.fft.fftfreq(bank.padded).abs() <= 0.375
    least = total[inside][:, inside].min().item()
    assert 0.25 < least and total.max().item() < 1.05, (least, total.max().item())
    return f"squared filters add up to {least:.2f} to {total.max().item():.2f}"


def check_constant():
    maps = scattering.Scattering(32)(torch.full((1, 32, 32), 0.5))
    assert maps.shape == (1, 217, 4, 4)
    assert (maps[:, 0] - 0.5).abs().max() < 1e-2 and maps[:, 1:].abs().max() < 1e-3, maps.abs().amax((2, 3))
    return "0.5 everywhere gives 0.5, and 0 in 216 maps"


def check_subspaces(classes=4, samples=40, dimensions=3, width=30):
    torch.manual_seed(0)
    x = F.normalize(torch.cat([torch.randn(samples, dimensions) @ torch.randn(dimensions, width) for _ in range(classes)]))
    truth = torch.arange(classes).repeat_interleave(samples)
    network, told = senet.train(x, x, seconds=20)
    with torch.no_grad():
        columns, _ = senet.affinity(network, x, "neighbours")
    share = (truth[columns] == truth[:, None]).float().mean().item()
    assert share > 0.95, (share, told)
    return f"{100 * share:.1f} % of nearest rows are of their subspace after {told['steps']} steps, {told['unexplained']:.3f} not rebuilt"


if __name__ == "__main__":
    torch.set_num_threads(1)
    for check in (check_tiling, check_constant, check_subspaces):
        print(f"{check.__name__}: {check()}", flush=True)
