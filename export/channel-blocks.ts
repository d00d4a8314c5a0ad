import type { ConvolutionLayout } from "./graph.ts";
import type { Model } from "./proto.ts";
import { NCHWC } from "./value.ts";

/**
 * A graph that tells how many channels ONNX Runtime's CPU provider takes as a block: the width of `blocks` that it makes of
 * `image`, [1, 8, 1, 1]. Where a CPU has no blocked kernels, no session opens.
 */
export const blockProbe: Model = {
  name: "blocks",
  inputs: [{ name: "image", type: "float32", shape: [1, 8, 1, 1] }],
  outputs: [{ name: "blocks", type: "float32", shape: [1, "channels", 1, 1] }],
  nodes: [{ op: `${NCHWC}:ReorderInput`, name: "reorder", inputs: ["image"], outputs: ["blocks"], attributes: {} }],
  initializers: [],
  metadata: {},
};

/** The form of convolutions for blocks of so many channels; undefined where there is none. */
export function blockedLayout(channels: number | undefined): ConvolutionLayout | undefined {
  return channels === 8 || channels === 16 ? `blocks-of-${channels}` : undefined;
}
