const SIZE = "the size of its result depends on data";
const STRINGS = "graphs hold no strings";
const COMPLEX = "ONNX has no complex numbers";

/** Why a kernel can have no lowering, for those that tfjs's CPU backend has. */
export const REFUSED: ReadonlyMap<string, string> = new Map([
  ["NonMaxSuppressionV3", `${SIZE}: use tf.image.nonMaxSuppressionPadded with padToMaxOutputSize`],
  ["NonMaxSuppressionV5", SIZE],
  ["RaggedGather", SIZE],
  ["RaggedRange", SIZE],
  ["RaggedTensorToTensor", SIZE],
  ["SparseFillEmptyRows", SIZE],
  ["Unique", SIZE],
  ["Complex", COMPLEX],
  ["ComplexAbs", COMPLEX],
  ["FFT", COMPLEX],
  ["IFFT", COMPLEX],
  ["Imag", COMPLEX],
  ["Real", COMPLEX],
  ["Draw", "it draws on a canvas"],
  ["StaticRegexReplace", STRINGS],
  ["StringNGrams", STRINGS],
  ["StringSplit", STRINGS],
  ["StringToHashBucketFast", STRINGS],
]);
