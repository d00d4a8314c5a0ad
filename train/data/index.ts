export { AUGMENTATIONS, type Augmentation, augmentImages } from "./augment.ts";
export { augmentFeatures, type FeatureAugmentation, type FeatureScale, featureScale } from "./augment-features.ts";
export { type Dataset, type Skipped, subset } from "./dataset.ts";
export type { NpyArray } from "./npy.ts";
export { npzColumns, readNpz, writeNpz, writeNpzColumns } from "./npz.ts";
export { parquetGroups } from "./parquet.ts";
export {
  loadSource,
  openSource,
  type SampleStream,
  type SourceOptions,
  type StreamOptions,
  type Survey,
  survey,
} from "./source.ts";
