import type { Arrays } from "../models/index.ts";
import type { StepState } from "./executors/executor.ts";
import type { EpochSums } from "./pace.ts";
import type { Targets } from "./targets.ts";

/** Where training stands: this many steps of this epoch of this phase are done. */
export interface Position {
  readonly phase: number;
  readonly epoch: number;
  readonly step: number;
}

/**
 * All that training resumes from. Random numbers are functions of the seed, the purpose and the position, so no generator's
 * state is part of it.
 */
export interface TrainingState {
  readonly parameters: Arrays;
  /** Adam's moments in the phase under way. */
  readonly moments?: Pick<StepState, "m" | "v" | "t">;
  readonly targets?: Targets;
  /** What the phase under way has watched of itself. */
  readonly watched?: Arrays;
  /** Of the epoch under way, where it stands within one. */
  readonly epoch?: EpochSums;
  readonly position: Position;
}
