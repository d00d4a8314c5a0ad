"""One training step of a dual autoencoder in PyTorch.

    loss = mean over the batch of [ 1/2 sum (x - D(z))^2 + sum (D(z (1 + 0.1 eps)) - D(z))^2 ],  z = E(x)

eps is standard normal, drawn anew each step; Adam, learning rate 1e-3, over all parameters, float32.
Padding is TensorFlow's SAME seen in a mirror. At stride 2 on an even side SAME pads 0 before and 1 after;
PyTorch's padding=1 pads 1 before and uses none after. That is the same network on mirrored images with
mirrored filters, and it spares PyTorch an explicit pad or crop, which cost it up to a fifth of the step.
`check_same_padding.py` shows that loss and gradients are equal.

See Yang et al. 2019, Deep Spectral Clustering using Dual Autoencoder Network, CVPR.
"""

from step import Step

import torch
from torch import nn

SLOPE = 0.2  # of every LeakyReLU
NOISE = 0.1  # relative, on the latents
SIDE, WIDTH, SEED_SIDE = 28, 64, 7  # images are SIDE x SIDE x 1; the latent unfolds to WIDTH x 7 x 7


def conv(inputs, outputs, stride=1):
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1)


def deconv(inputs, outputs, stride=1):
    return nn.ConvTranspose2d(inputs, outputs, 3, stride, padding=1, output_padding=stride - 1)


def leaky():
    return nn.LeakyReLU(SLOPE, inplace=True)


class Flatten(nn.Module):
    """[b, c, h, w] -> [b, c h w], in memory order, so that neither layout is copied."""

    def __init__(self, layout):
        super().__init__()
        self.last = layout == torch.channels_last

    def forward(self, x):
        return (x.permute(0, 2, 3, 1) if self.last else x).flatten(1)


class Unflatten(nn.Module):
    """[b, 3136] -> [b, 64, 7, 7], the inverse of Flatten."""

    def __init__(self, layout):
        super().__init__()
        self.last = layout == torch.channels_last

    def forward(self, x):
        if self.last:
            return x.view(-1, SEED_SIDE, SEED_SIDE, WIDTH).permute(0, 3, 1, 2)
        return x.view(-1, WIDTH, SEED_SIDE, SEED_SIDE)


def encoder(latent, layout):
    return nn.Sequential(
        conv(1, 32, 2), leaky(), conv(32, 32), leaky(), conv(32, 64, 2), leaky(), conv(64, 64), leaky(),
        Flatten(layout), nn.Linear(WIDTH * SEED_SIDE**2, latent),
    )


def decoder_of(kind, latent, layout):
    """`subpixel`: upsamples and shuffles pixels. `transposed`: the published one, of transposed convolutions."""
    seed = [nn.Linear(latent, WIDTH * SEED_SIDE**2), Unflatten(layout), leaky()]
    if kind == "subpixel":
        body = [nn.Upsample(scale_factor=2), conv(64, 32), leaky(), conv(32, 4), nn.PixelShuffle(2)]
    elif kind == "transposed":
        body = [
            deconv(64, 64), leaky(), deconv(64, 64, 2), leaky(), deconv(64, 32), leaky(),
            deconv(32, 32, 2), leaky(), deconv(32, 1),
        ]
    else:
        raise ValueError(f'decoder: expected "subpixel" or "transposed", got {kind!r}')
    last = next(layer for layer in reversed(body) if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)))
    last.bias.data -= 2  # pictures start dark
    return nn.Sequential(*seed, *body, nn.Sigmoid())


class AutoencoderStep(Step):
    """Over one batch of uniform random images."""

    def __init__(self, batch, latent=32, decoder="subpixel", variant="channels_last", seed=0):
        super().__init__(variant, seed)
        self.encode = encoder(latent, self.layout)
        self.decode = decoder_of(decoder, latent, self.layout)
        self.images = torch.rand(batch, 1, SIDE, SIDE).contiguous(memory_format=self.layout)
        self.prepare(nn.ModuleList([self.encode, self.decode]))

    def loss(self):
        x = self.images
        z = self.encode(x)
        noisy = z * (1 + NOISE * torch.randn_like(z))
        clean, perturbed = self.decode(z), self.decode(noisy)
        fit = 0.5 * (x - clean).square().sum()
        relative = (perturbed - clean).square().sum()
        return (fit + relative) / x.shape[0]
