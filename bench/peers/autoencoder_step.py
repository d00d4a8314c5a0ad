"""One training step of a dual autoencoder in PyTorch: the peer that `npm run bench:step` compares with.

JSON lines on stdin and stdout, so that a bench can take turns between engines in one run:

    in   {"batch": 128, "latent": 32, "decoder": "subpixel", "threads": 2, "warmup": 3}
    out  {"ready": true, "torch": "2.15.0", "variant": "...", "parameters": 321428, "flops": 123}
    in   {"steps": 3}        out  {"milliseconds": [90.1, 89.7, 90.3], "loss": 81.2}
    in   {"quit": true}      (or the end of stdin)

A line that cannot be served is answered with {"error": "..."} and ends the process with status 1.

    loss = mean over the batch of [ 1/2 sum (x - D(z))^2 + sum (D(z (1 + 0.1 eps)) - D(z))^2 ],  z = E(x)

eps is standard normal, drawn anew each step; Adam, learning rate 1e-3, over all parameters, float32.
Padding is TensorFlow's SAME seen in a mirror. At stride 2 on an even side SAME pads 0 before and 1 after;
PyTorch's padding=1 pads 1 before and uses none after. That is the same network on mirrored images with
mirrored filters, and it spares PyTorch an explicit pad or crop, which cost it up to a fifth of the step.
`check_same_padding.py` shows that loss and gradients are equal.

See Yang et al. 2019, Deep Spectral Clustering using Dual Autoencoder Network, CVPR.
"""

import json
import sys
import time
import warnings

warnings.filterwarnings("ignore", message="Failed to initialize NumPy")  # not needed, not installed

import torch
from torch import nn
from torch.nn import functional as F

SLOPE = 0.2  # of every LeakyReLU
NOISE = 0.1  # relative, on the latents
LEARNING_RATE = 1e-3
SIDE, WIDTH, SEED_SIDE = 28, 64, 7  # images are SIDE x SIDE x 1; the latent unfolds to WIDTH x 7 x 7

# What a variant changes. None changes the maths: memory layout, how Adam loops, compiled or eager.
VARIANTS = {
    "contiguous": {"layout": torch.contiguous_format, "fused": False, "compiled": False},
    "channels_last": {"layout": torch.channels_last, "fused": False, "compiled": False},
    "channels_last_fused": {"layout": torch.channels_last, "fused": True, "compiled": False},
    "compile": {"layout": torch.channels_last, "fused": False, "compiled": True},
}

# The fastest eager one, measured. A torch older than 2.4 has no fused Adam on the CPU.
TORCH_VERSION = tuple(int(part) for part in torch.__version__.split(".")[:2])
DEFAULT_VARIANT = "channels_last_fused" if TORCH_VERSION >= (2, 4) else "channels_last"


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


def decoder(kind, latent, layout):
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
    return nn.Sequential(*seed, *body, nn.Sigmoid())


class Step:
    """A training step over one fixed batch of uniform random images."""

    def __init__(self, batch, latent=32, decoder_kind="subpixel", variant=DEFAULT_VARIANT, seed=0):
        if variant not in VARIANTS:
            raise ValueError(f"variant: expected one of {', '.join(VARIANTS)}, got {variant!r}")
        choice = VARIANTS[variant]
        torch.manual_seed(seed)
        self.encode = encoder(latent, choice["layout"])
        self.decode = decoder(decoder_kind, latent, choice["layout"])
        self.network = nn.ModuleList([self.encode, self.decode]).to(memory_format=choice["layout"])
        self.images = torch.rand(batch, 1, SIDE, SIDE).contiguous(memory_format=choice["layout"])
        fused = {"fused": True} if choice["fused"] else {}
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=LEARNING_RATE, **fused)
        self.compute = torch.compile(self.loss) if choice["compiled"] else self.loss

    def loss(self, x):
        z = self.encode(x)
        noisy = z * (1 + NOISE * torch.randn_like(z))
        clean, perturbed = self.decode(z), self.decode(noisy)
        fit = 0.5 * (x - clean).square().sum()
        relative = (perturbed - clean).square().sum()
        return (fit + relative) / x.shape[0]

    def run(self):
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.compute(self.images)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def timed(self, steps):
        """Milliseconds of each step, and the last loss."""
        milliseconds, loss = [], None
        for _ in range(steps):
            start = time.perf_counter()
            loss = self.run()
            milliseconds.append((time.perf_counter() - start) * 1000)
        return milliseconds, loss

    def parameters(self):
        return sum(p.numel() for p in self.network.parameters())

    def flops(self):
        """
        Floating-point operations of one step's convolutions and matrix products, forward and backward; a
        multiply and an add are two. Backward is twice forward, less the images' own gradient.
        """
        total = 0

        def count(layer, inputs, output):
            nonlocal total
            (x,) = inputs
            if isinstance(layer, nn.Linear):
                products = x.numel() * layer.out_features
            else:
                side = x if isinstance(layer, nn.ConvTranspose2d) else output
                products = side.shape[0] * side[0, 0].numel() * layer.weight.numel()
            total += 2 * products * (3 if x.requires_grad else 2)

        layers = [m for m in self.network.modules() if isinstance(m, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d))]
        hooks = [layer.register_forward_hook(count) for layer in layers]
        self.loss(self.images)
        for hook in hooks:
            hook.remove()
        return total


def build(config):
    """The step that the first line asks for, warmed up."""
    torch.set_num_threads(config.get("threads", 2))
    variant = config.get("variant", DEFAULT_VARIANT)
    step = Step(config["batch"], config.get("latent", 32), config.get("decoder", "subpixel"), variant)
    ready = {
        "ready": True, "torch": str(torch.__version__), "variant": variant,
        "threads": torch.get_num_threads(), "parameters": step.parameters(), "flops": step.flops(),
    }
    step.timed(config.get("warmup", 3))
    return step, ready


def answer(message):
    print(json.dumps(message), flush=True)


def serve(lines):
    step = None
    for line in lines:
        request = json.loads(line)
        if request.get("quit"):
            return
        if step is None:
            step, ready = build(request)
            answer(ready)
        else:
            milliseconds, loss = step.timed(request["steps"])
            answer({"milliseconds": milliseconds, "loss": loss})


if __name__ == "__main__":
    try:
        serve(iter(sys.stdin.readline, ""))
    except Exception as error:
        answer({"error": f"{type(error).__name__}: {error}"})
        sys.exit(1)
