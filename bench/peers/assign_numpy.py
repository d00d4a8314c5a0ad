"""dscdan's assignment as one writes it by hand: the encoder in PyTorch, eager, and all that follows the latent in NumPy.

Speaks as `assign.py`, which runs the exported graph node by node. Here the graph gives its weights alone; what is computed
is `models/autoencoder.ts`'s encoder (3x3 convolutions, leaky ReLU, a dense layer), and `models/assignment/`: Nystrom's
extension over the nearest landmarks, a linear read-out, confidence and novelty. In float32 throughout; NumPy multiplies by
OpenBLAS, whose threads OPENBLAS_NUM_THREADS sets, and its argpartition has one.
"""

import numpy as np
import torch
import torch.nn.functional as F
from assign import ENGINE, read_graph, read_images, serve

NEIGHBOURS = 10  # the affinity of a sample is to its nearest landmarks
SCALE_NEIGHBOUR = 7  # the distance to this one is its local scale
CANDIDATES = NEIGHBOURS + 5  # by scalar products, whose rounding may leave the last few in doubt
SAME = 1e-9  # a squared distance below it: the sample is that landmark
SLOPE = 0.2  # of the leaky ReLU


class Assignment:
    def __init__(self, graph, weights, images, shape, threads):
        torch.set_num_threads(threads)
        self.images = read_images(images, shape)
        graph, tensors = read_graph(graph, weights)

        def constants(op):
            """Of all nodes of an operator, in their order."""
            used = (tensors.get(name) for node in graph["nodes"] if node["op"] == op for name in node["inputs"])
            return [tensor for tensor in used if tensor is not None and tensor.is_floating_point()]

        strides = [node["attributes"]["strides"][0] for node in graph["nodes"] if node["op"] == "Conv"]
        filters = [filter.contiguous(memory_format=torch.channels_last) for filter in constants("Conv")]
        *biases, self.dense_bias, readout_bias = (bias.flatten() for bias in constants("Add"))
        self.convolutions = list(zip(filters, biases, strides, strict=True))
        dense, readout = constants("MatMul")
        # From the graph's [c, h, w] to the [h, w, c] that images lie in.
        by_place = dense.unflatten(0, (len(filters[-1]), -1)).transpose(0, 1)
        self.dense = by_place.flatten(0, 1).t().contiguous()
        _, sharpness, length_weight = constants("Mul")
        low, width = constants("Sub")[-1].flatten(), constants("Max")[-2]
        quantiles = torch.cat([low, low[-1:] + width[-1:]])
        numbers = (*constants("Gather"), readout, readout_bias, sharpness, length_weight, quantiles)
        (
            self.landmarks,  # unit latents, [m, d]
            self.scales,  # [m]
            self.rows,  # of the extension, [m, k]
            self.lengths,  # logarithms, [m]
            self.readout,  # [k, K]
            self.readout_bias,
            self.sharpness,
            self.length_weight,
            self.quantiles,  # of the training samples' distances to the data, ascending
        ) = (tensor.numpy() for tensor in numbers)
        self.shares = np.linspace(0, 1, len(self.quantiles))
        self.least_scale = self.scales.min()

    def run(self):
        return self.assign(self.encode())[0]

    @torch.inference_mode()
    def encode(self):
        """The latent, [b, d]. Images come channels last, and the layout is the faster here: 26 ms against 40 on a thread."""
        x = self.images.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.channels_last).div_(255)
        for filter, bias, stride in self.convolutions:
            if stride == 2:  # TensorFlow's SAME: an even side is padded at its end
                x = F.conv2d(F.pad(x, (0, 1, 0, 1)), filter, bias, 2)
            else:
                x = F.conv2d(x, filter, bias, padding=1)
            x = F.leaky_relu_(x, SLOPE)
        return F.linear(x.permute(0, 2, 3, 1).flatten(1), self.dense, self.dense_bias).numpy()

    def assign(self, latent):
        """Labels, confidences, novelties and probabilities of latents, [b, d]."""
        length = np.maximum(np.linalg.norm(latent, axis=1, keepdims=True), 1e-8)
        unit = latent / length
        nearest = np.argpartition(unit @ self.landmarks.T, -CANDIDATES, axis=1)[:, -CANDIDATES:]
        squared = np.square(self.landmarks[nearest] - unit[:, None]).sum(2)
        is_itself = squared.min(1, keepdims=True) < SAME  # a training sample does not meet itself
        order = np.take_along_axis(squared.argsort(1), is_itself + np.arange(CANDIDATES - 1), 1)
        squared, nearest = np.take_along_axis(squared, order, 1), np.take_along_axis(nearest, order, 1)
        distance = np.sqrt(squared)
        near = nearest[:, :NEIGHBOURS]

        scale = np.maximum(distance[:, SCALE_NEIGHBOUR - 1, None], self.least_scale)
        exponent = squared[:, :NEIGHBOURS] / (scale * self.scales[near])
        affinity = np.exp(exponent.min(1, keepdims=True) - exponent)
        embedding = (affinity[:, None] @ self.rows[near])[:, 0]
        embedding /= np.maximum(np.linalg.norm(embedding, axis=1, keepdims=True), 1e-8)

        scores = embedding @ self.readout + self.readout_bias
        label = scores.argmax(1)
        odds = np.exp(self.sharpness * (scores - scores.max(1, keepdims=True)))
        probabilities = odds / odds.sum(1, keepdims=True)

        taper = np.maximum(1.001 - squared / squared[:, NEIGHBOURS, None], 0)
        unlike = distance + self.length_weight * np.abs(np.log(length) - self.lengths[nearest])
        novelty = np.interp((taper * unlike).sum(1) / taper.sum(1), self.quantiles, self.shares)
        return label, probabilities.max(1), novelty, probabilities


if __name__ == "__main__":
    serve(Assignment, f"{ENGINE} + NumPy {np.__version__}")
