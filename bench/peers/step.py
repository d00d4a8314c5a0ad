"""What PyTorch's training steps have in common: the variants, the update, the clock, the count of operations."""

import logging
import time
import warnings

warnings.filterwarnings("ignore", message="Failed to initialize NumPy")  # not needed here
logging.getLogger("torch.utils.flop_counter").setLevel(logging.ERROR)  # nor is triton

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

LEARNING_RATE = 1e-3

# What a variant changes. None changes the maths: memory layout, how Adam loops, compiled or eager.
VARIANTS = {
    "contiguous": {"layout": torch.contiguous_format, "fused": False, "compiled": False},
    "contiguous_fused": {"layout": torch.contiguous_format, "fused": True, "compiled": False},
    "channels_last": {"layout": torch.channels_last, "fused": False, "compiled": False},
    "channels_last_fused": {"layout": torch.channels_last, "fused": True, "compiled": False},
    "compile": {"layout": torch.channels_last, "fused": False, "compiled": True},
}


class Step:
    """A training step over one fixed batch: a workload makes `self.network` and `self.loss()`."""

    def __init__(self, variant, seed=0):
        if variant not in VARIANTS:
            raise ValueError(f"variant: expected one of {', '.join(VARIANTS)}, got {variant!r}")
        self.choice = VARIANTS[variant]
        self.layout = self.choice["layout"]
        torch.manual_seed(seed)

    def prepare(self, network):
        """Call when the network is made."""
        self.network = network.to(memory_format=self.layout)
        fused = {"fused": True} if self.choice["fused"] else {}
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=LEARNING_RATE, **fused)
        self.compute = torch.compile(self.loss) if self.choice["compiled"] else self.loss

    def run(self):
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.compute()
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

    def operators(self, steps):
        """What a step's operators take, in milliseconds of their own, by name and shapes."""
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], record_shapes=True) as profile:
            self.timed(steps)
        events = profile.key_averages(group_by_input_shape=True)
        return [
            {"name": e.key, "shapes": str(e.input_shapes), "milliseconds": e.self_cpu_time_total / steps / 1000}
            for e in sorted(events, key=lambda e: -e.self_cpu_time_total)
        ]

    def parameters(self):
        return sum(p.numel() for p in self.network.parameters())

    def flops(self):
        """
        Floating-point operations of one step's convolutions and matrix products, forward and backward; a
        multiply and an add are two.
        """
        with FlopCounterMode(display=False) as counter:
            self.loss().backward()
        return counter.get_total_flops()
