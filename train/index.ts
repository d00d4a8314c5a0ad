export { type Checkpoint, type ReadCheckpoint, readCheckpoint, writeCheckpoint } from "./checkpoint.ts";
export { AUTO, type ClusterChoice, PROVISIONAL } from "./choose-clusters.ts";
export {
  AUGMENTATIONS,
  type Augmentation,
  type Dataset,
  loadSource,
  type SourceOptions,
  subset,
  writeNpz,
} from "./data/index.ts";
export type { TrainEvent } from "./events.ts";
export type { SessionSettings } from "./executors/executor.ts";
export {
  type Compute,
  computeOf,
  ENGINES,
  type EngineName,
  TRAINING_DEVICES,
  type TrainingDevice,
} from "./executors/index.ts";
export { probeTensorflow, setupCommand } from "./executors/tensorflow.ts";
export { exportRun } from "./export-run.ts";
export { finishTraining } from "./finish.ts";
export {
  type Hyperparameter,
  hyperparameters,
  merge as mergeSettings,
  resolveConfig,
  type Settings,
} from "./hyperparameters.ts";
export { lopsided } from "./lopsided.ts";
export {
  accuracy,
  adjustedRandIndex,
  auroc,
  type ClusterMap,
  clusterMap,
  expectedCalibrationError,
  mappedAccuracy,
  nearestLabels,
  normalizedMutualInformation,
  purity,
} from "./metrics.ts";
export { MOST_SEED } from "./random.ts";
export { writeReport } from "./report.ts";
export {
  augmentationOf,
  type FinishedRun,
  type ResumeOptions,
  type Run,
  type RunEvent,
  type RunHooks,
  type RunOptions,
  readRun,
  resumeRun,
  startRun,
  type TrainingData,
} from "./run.ts";
export { checkSameData } from "./run-changes.ts";
export type { Finished, RunConfig, RunState } from "./run-folder.ts";
export { clearestFirst } from "./spectral/index.ts";
export { initialParameters, Trainer } from "./trainer.ts";
export type { Position, TrainingState } from "./training-state.ts";
