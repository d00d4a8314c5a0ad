/** What Node's door (node.ts) and the browser's (web.ts) share. Both re-export all of it. */
export {
  type Bundle,
  type BundleFiles,
  type ListedBundle,
  type LoadProgress,
  listBundle,
  openBundle,
  openModel,
  type Precision,
  type ReadOptions,
  sha256,
} from "./bundle.ts";
export type { BundleInMemory } from "./bundle-bytes.ts";
export {
  type Assignments,
  type AssignmentsPart,
  type AssignOptions,
  Clusterer,
  type ClustererInfo,
  type DefaultOutput,
  type OutputArrays,
  type OutputName,
  type Placement,
} from "./clusterer.ts";
export type { Device, DeviceFailure, DeviceRequest } from "./devices.ts";
export { type ErrorCode, SubspanError } from "./errors.ts";
export { ALLOWED_OPERATORS, checkGraph, GRAPH_LIMITS, type GraphSummary, type GraphValue } from "./graph-check.ts";
export type { ArrayInput, Input } from "./input.ts";
export {
  FORMAT_VERSION,
  type GraphManifest,
  graphManifest,
  type Manifest,
  type ManifestFile,
  type ManifestInput,
  type ManifestOutput,
  METADATA_KEY,
  parseManifest,
} from "./manifest.ts";
export { fromRgba } from "./pixels.ts";
export type { NestedInput, NumberArray, PixelInput, Pixels, Samples } from "./samples.ts";
