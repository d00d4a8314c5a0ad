export { AUGMENTATIONS, type Augmentation, augmentImages } from "./augment.ts";
export { augmentFeatures, type FeatureAugmentation, type FeatureScale, featureScale } from "./augment-features.ts";
export { type Dataset, subset } from "./dataset.ts";
export type { NpyArray } from "./npy.ts";
export { readNpz, writeNpz } from "./npz.ts";
export { parquetGroups } from "./parquet.ts";
export { loadSource, type SourceOptions } from "./source.ts";
