"""The PyTorch peer of `npm run bench:step`, which speaks the protocol of README.md."""

import json
import sys

from autoencoder_step import AutoencoderStep
from energy_step import EnergyStep
from resnet18_step import ResNet18Step

import torch

WORKLOADS = {"autoencoder": AutoencoderStep, "resnet18": ResNet18Step, "energy": EnergyStep}


def build(config):
    """The step that the first line asks for, after its first run."""
    if config.get("workload") not in WORKLOADS:
        raise ValueError(f"workload: expected one of {', '.join(WORKLOADS)}, got {config.get('workload')!r}")
    torch.set_num_threads(config["threads"])
    own = {name: config[name] for name in ("decoder",) if name in config}
    step = WORKLOADS[config["workload"]](config["batch"], variant=config["variant"], **own)
    flops = step.flops()
    milliseconds, loss = step.timed(1)
    return step, {
        "engine": f"PyTorch {torch.__version__}", "threads": torch.get_num_threads(),
        "parameters": step.parameters(), "loss": loss, "first": milliseconds[0], "flops": flops,
    }


def answer(message):
    print(json.dumps(message), flush=True)


def serve(lines):
    step = None
    for line in lines:
        request = json.loads(line)
        if step is None:
            step, ready = build(request)
            answer(ready)
        elif "operators" in request:
            answer({"operators": step.operators(request["operators"])})
        else:
            milliseconds, loss = step.timed(request["steps"])
            answer({"milliseconds": milliseconds, "loss": loss})


if __name__ == "__main__":
    try:
        serve(iter(sys.stdin.readline, ""))
    except Exception as error:
        answer({"error": f"{type(error).__name__}: {error}"})
        sys.exit(1)
