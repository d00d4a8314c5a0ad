"""Scattering coefficients of images, order 2: SENet's published input for MNIST and Fashion-MNIST.

    S = x * phi_J,  |x * psi_1| * phi_J,  ||x * psi_1| * psi_2| * phi_J    with scale(psi_1) < scale(psi_2) <= 2^J

Morlet wavelets psi of J octaves and L angles, a Gaussian phi; every 2^J-th place is kept: 1 + J L + L^2 J (J - 1) / 2 maps.

See Bruna & Mallat 2013, Invariant Scattering Convolution Networks, IEEE TPAMI 35(8). Wavelets as in Kymatio (Andreux et al.
2020, JMLR 21): sigma = 0.8 2^j, xi = 3 pi / 4 2^j, slant 4 / L.
"""

import math

import torch

J, L = 3, 8
BLOCK = 50  # images at once: more do not fit a core's cache
PERIODS = range(-2, 3)


def gabor(side, sigma, theta, xi, slant):
    """A wave in a Gaussian envelope, periodic on a square, [side, side]."""
    cosine, sine = math.cos(theta), math.sin(theta)
    along, across = 1 / (2 * sigma**2), slant**2 / (2 * sigma**2)
    wave = torch.zeros(side, side, dtype=torch.complex128)
    grid = torch.arange(side, dtype=torch.float64)
    for ex in PERIODS:
        for ey in PERIODS:
            x, y = torch.meshgrid(grid + ex * side, grid + ey * side, indexing="ij")
            u, v = cosine * x + sine * y, cosine * y - sine * x
            wave += torch.exp(torch.complex(-(along * u**2 + across * v**2), xi * u))
    return wave * slant / (2 * math.pi * sigma**2)


def morlet(side, j, angle):
    """A wavelet of mean 0 in frequency, [side, side]; its values are real."""
    sigma, xi, slant = 0.8 * 2**j, 0.75 * math.pi / 2**j, 4 / L
    theta = (int(L - L / 2 - 1) - angle) * math.pi / L
    wave, envelope = gabor(side, sigma, theta, xi, slant), gabor(side, sigma, theta, 0, slant)
    return torch.fft.fft2(wave - wave.sum() / envelope.sum() * envelope).real.float()


def folded(spectrum, factor):
    """Frequencies that are the same at every factor-th place, added up: a filter for images of that resolution."""
    *batch, side, _ = spectrum.shape
    small = side // factor
    return spectrum.reshape(*batch, factor, small, factor, small).sum((-4, -2))


def thinned(spectrum, factor):
    """The spectrum of every factor-th place of an image."""
    return folded(spectrum, factor) / factor**2


class Scattering:
    """[n, h, w] in 0..1 -> [n, maps, h / 2^J, w / 2^J]; h and w are 2^J times a whole number, and equal."""

    def __init__(self, side):
        step = 2**J
        self.padding = step
        self.padded = side + 2 * step
        self.wavelets = [[morlet(self.padded, j, a) for a in range(L)] for j in range(J)]
        phi = torch.fft.fft2(gabor(self.padded, 0.8 * 2 ** (J - 1), 0, 0, 1)).real.float()
        self.lows = [folded(phi, 2**j) for j in range(J + 1)]

    def smooth(self, spectrum, j):
        """Averages maps of resolution 2^-j and keeps every 2^J-th place, without the padding."""
        low = torch.fft.ifft2(thinned(spectrum * self.lows[j], 2 ** (J - j))).real
        inside = self.padding // 2**J
        return low[..., inside:-inside, inside:-inside]

    def block(self, images):
        spectrum = torch.fft.fft2(torch.nn.functional.pad(images[:, None], [self.padding] * 4, mode="reflect"))
        maps = [self.smooth(spectrum, 0)]
        for j1 in range(J):
            first = torch.fft.ifft2(thinned(spectrum * torch.stack(self.wavelets[j1]), 2**j1)).abs()
            spectra = torch.fft.fft2(first)
            maps.append(self.smooth(spectra, j1))
            for j2 in range(j1 + 1, J):
                filters = torch.stack([folded(wavelet, 2**j1) for wavelet in self.wavelets[j2]])
                products = spectra[:, :, None] * filters
                second = torch.fft.ifft2(thinned(products, 2 ** (j2 - j1))).abs()
                maps.append(self.smooth(torch.fft.fft2(second), j2).flatten(1, 2))
        return torch.cat(maps, 1)

    def __call__(self, images):
        return torch.cat([self.block(block) for block in images.split(BLOCK)])
