import * as tf from "@tensorflow/tfjs-core";
import { groupNorm, groupNormSpec } from "./group-norm.ts";
import { dense, parameter } from "./layers.ts";
import { denseSpec, type ParameterSpecs, type Parameters } from "./parameters.ts";

export interface ResNetShape {
  /** Image height, width and channels. */
  readonly image: readonly [number, number, number];
  /** Width d of the latent. */
  readonly latent: number;
  /** Channels of the stem and the first stage, doubled by each of the other three. 64 is published. */
  readonly width: number;
}

const STAGES = [1, 2, 3, 4] as const;
const BLOCKS = [1, 2] as const;
/** Groups of a normalisation: 8, or the power of 2 below it that divides the channels. */
const groupsOf = (channels: number): number => Math.min(8, channels & -channels);

/** Channels that go into a block, and out of it. */
function blockChannels(width: number, stage: number, block: number): [number, number] {
  const outputs = width * 2 ** (stage - 1);
  return [block === 1 && stage > 1 ? outputs / 2 : outputs, outputs];
}

/** A convolution without bias (the normalisation behind it has one) and its normalisation. */
function normalisedSpec(name: string, inputs: number, outputs: number, size: number): ParameterSpecs {
  const limit = Math.sqrt(6 / (size * size * inputs)); // He et al. 2015, arXiv:1502.01852
  return { [`${name}.filter`]: { shape: [size, size, inputs, outputs], limit }, ...groupNormSpec(name, outputs) };
}

function normalised(parameters: Parameters, name: string, x: tf.Tensor4D, stride = 1): tf.Tensor4D {
  const filter = parameter<tf.Tensor4D>(parameters, `${name}.filter`);
  return groupNorm(parameters, name, tf.conv2d(x, filter, stride, "same"), groupsOf(filter.shape[3]));
}

export function resNetSpec({ image, latent, width }: ResNetShape): ParameterSpecs {
  const blocks = STAGES.flatMap((stage) =>
    BLOCKS.map((block) => {
      const [inputs, outputs] = blockChannels(width, stage, block);
      const name = `encoder.stage${stage}.block${block}`;
      return {
        ...normalisedSpec(`${name}.conv1`, inputs, outputs, 3),
        ...normalisedSpec(`${name}.conv2`, outputs, outputs, 3),
        ...(inputs === outputs ? {} : normalisedSpec(`${name}.shortcut`, inputs, outputs, 1)),
      };
    }),
  );
  return Object.assign({}, normalisedSpec("encoder.stem", image[2], width, 3), ...blocks, {
    ...denseSpec("encoder.mean", 8 * width, latent),
  }) as ParameterSpecs;
}

/**
 * ResNet-18 for small images: a 3x3 stem without pooling, four stages of two basic blocks (the last three start with
 * stride 2), the mean over places, a dense latent. Group in place of batch normalisation, so that a sample's latent is
 * its own.
 *
 * @param images - [b, h, w, c], about -2..2. @returns the latent, [b, d].
 * @see He et al. 2016, Deep Residual Learning, arXiv:1512.03385, sections 3.3 and 4.2; the stem is that of its CIFAR
 *   networks.
 */
export function resNet(parameters: Parameters, images: tf.Tensor4D): tf.Tensor2D {
  let x = tf.relu(normalised(parameters, "encoder.stem", images));
  for (const stage of STAGES) {
    for (const block of BLOCKS) x = basicBlock(parameters, `encoder.stage${stage}.block${block}`, x, stage, block);
  }
  return dense(parameters, "encoder.mean", tf.mean(x, [1, 2]) as tf.Tensor2D);
}

/** relu(F(x) + x) with F two 3x3 convolutions; where the shape changes, x goes through a strided 1x1 convolution. */
function basicBlock(parameters: Parameters, name: string, x: tf.Tensor4D, stage: number, block: number): tf.Tensor4D {
  const stride = block === 1 && stage > 1 ? 2 : 1;
  const hidden = tf.relu(normalised(parameters, `${name}.conv1`, x, stride));
  const change = normalised(parameters, `${name}.conv2`, hidden);
  const shortcut = stride === 1 ? x : normalised(parameters, `${name}.shortcut`, x, stride);
  return tf.relu(tf.add(change, shortcut));
}
