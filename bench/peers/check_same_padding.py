"""Shows that autoencoder_step.py computes what TensorFlow's SAME padding computes, in a mirror.

Writes the loss again with SAME padding spelled out (stride 2 pads 0 before and 1 after; its transpose drops
the last row and column), on mirrored images with mirrored filters, and compares loss and every gradient.
"""

from autoencoder_step import NOISE, SEED_SIDE, SLOPE, WIDTH, AutoencoderStep

import torch
from torch import nn
from torch.nn import functional as F


def mirror(x):
    return x.flip(-1, -2)


def same_conv(layer, x, reverse_outputs=False):
    """`reverse_outputs`: for the layer before PixelShuffle(2), whose 4 channels are 4 mirrored places."""
    weight, bias = mirror(layer.weight), layer.bias
    if reverse_outputs:
        weight, bias = weight.flip(0), bias.flip(0)
    if layer.stride[0] == 1:
        return F.conv2d(x, weight, bias, padding=1)
    return F.conv2d(F.pad(x, (0, 1, 0, 1)), weight, bias, stride=2)


def same_deconv(layer, x):
    stride = layer.stride[0]
    full = F.conv_transpose2d(x, mirror(layer.weight), layer.bias, stride=stride)
    return full[:, :, 1:-1, 1:-1] if stride == 1 else full[:, :, :-1, :-1]


def forward(layers, x):
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            x = same_conv(layer, x, reverse_outputs=layer.out_channels == 4)
        elif isinstance(layer, nn.ConvTranspose2d):
            x = same_deconv(layer, x)
        elif isinstance(layer, nn.LeakyReLU):
            x = F.leaky_relu(x, SLOPE)
        elif isinstance(layer, nn.Linear) and x.dim() == 4:  # encoder: [b, 64, 7, 7] -> latent
            x = layer(mirror(x).flatten(1))
        elif isinstance(layer, nn.Linear):  # decoder: latent -> [b, 64, 7, 7]
            x = mirror(layer(x).view(-1, WIDTH, SEED_SIDE, SEED_SIDE))
        elif isinstance(layer, (nn.Upsample, nn.PixelShuffle, nn.Sigmoid)):
            x = layer(x)
    return x


def same_loss(step):
    x = mirror(step.images)
    z = forward(step.encode, x)
    noisy = z * (1 + NOISE * torch.randn_like(z))
    clean, perturbed = forward(step.decode, z), forward(step.decode, noisy)
    return (0.5 * (x - clean).square().sum() + (perturbed - clean).square().sum()) / x.shape[0]


def main():
    for kind in ("subpixel", "transposed"):
        step = AutoencoderStep(4, decoder=kind, variant="contiguous")
        step.network.double()
        step.images = step.images.double()
        step.timed(3)  # away from the initial point
        parameters = list(step.network.parameters())
        results = []
        for loss in (step.loss, lambda: same_loss(step)):
            torch.manual_seed(1)
            value = loss()
            results.append([value, *torch.autograd.grad(value, parameters)])
        # float64: only the order of sums differs
        worst = max(((a - b).norm() / a.norm()).item() for a, b in zip(*results))
        assert worst < 1e-10, f"{kind}: loss or a gradient differs by {worst:.1e} of its norm"
        print(f"{kind}: loss {results[0][0]:.6f}, it and {len(parameters)} gradients equal to {worst:.0e}")


if __name__ == "__main__":
    main()
