const SIZE = "the size of its result depends on data";
const STRINGS = "ONNX graphs of numbers hold no strings";

/** Why a kernel can have no lowering, for those that tfjs's CPU backend has. */
export const REFUSED: ReadonlyMap<string, string> = new Map([
  ["NonMaxSuppressionV3", `${SIZE}: use tf.image.nonMaxSuppressionPadded with padToMaxOutputSize`],
  ["NonMaxSuppressionV5", SIZE],
  ["RaggedGather", SIZE],
  ["RaggedRange", SIZE],
  ["RaggedTensorToTensor", SIZE],
  ["SparseFillEmptyRows", SIZE],
  ["Unique", SIZE],
  ["StaticRegexReplace", STRINGS],
  ["StringNGrams", STRINGS],
  ["StringSplit", STRINGS],
  ["StringToHashBucketFast", STRINGS],
]);
