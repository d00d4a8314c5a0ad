export { type BundleContent, bundleFiles, checkDestination, modelWithManifest, writeBundle } from "./bundle.ts";
export { type CardContent, card } from "./card.ts";
export { blockedLayout, blockProbe } from "./channel-blocks.ts";
export {
  CONVERSION_TOLERANCE,
  type ConversionCheck,
  type ConversionDifference,
  checkConversion,
  compareConversion,
  type Feeds,
} from "./conversion-parity.ts";
export { convertModel, modelFunction, OPEN_SIZE, type TfjsModel } from "./convert.ts";
export type { Attribute, ConvolutionLayout, GraphNode, GraphPort, Initializer } from "./graph.ts";
export { loadModel } from "./model-files.ts";
export type { ConvertOptions, ModelFunction } from "./model-function.ts";
export {
  type Comparison,
  checkParity,
  compareOutputs,
  eagerOutputs,
  graphOutputs,
  type OutputParity,
  type Outputs,
  PARITY_TOLERANCE,
  type ParityReport,
  type Rows,
  type VariantParity,
} from "./parity.ts";
export { LEAST_AGREEMENT, type LowPrecision, lowerPrecision, withTolerance } from "./precision/index.ts";
export { type Preview, type PreviewContent, preview } from "./preview.ts";
export { encodeModel, type Model } from "./proto.ts";
export type { PortType, Signature, Tensors, TraceFunction } from "./signature.ts";
export { trace, withoutCopies } from "./trace.ts";
