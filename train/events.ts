/** What a run tells while it goes on. Seconds are of this process. */
export type TrainEvent =
  | {
      readonly type: "phase";
      readonly phase: string;
      readonly index: number;
      readonly phases: number;
      readonly epochs: number;
    }
  | {
      readonly type: "step";
      readonly phase: string;
      readonly epoch: number;
      readonly epochs: number;
      readonly step: number;
      readonly steps: number;
      readonly loss: number;
      readonly terms: Readonly<Record<string, number>>;
      readonly learningRate: number;
      readonly samplesPerSecond: number;
      readonly secondsLeft: number;
    }
  | {
      readonly type: "epoch";
      readonly phase: string;
      readonly epoch: number;
      readonly epochs: number;
      readonly loss: number;
      readonly terms: Readonly<Record<string, number>>;
      readonly seconds: number;
      /** Share of samples whose soft label changed cluster, where the phase has soft labels. */
      readonly changed?: number;
      /** Of some latents, where the phase watches it: 1 if they are all one direction, at most their width. */
      readonly effectiveRank?: number;
      /** How far the mean affinity moved, relative to its norm, where the phase took one. */
      readonly moved?: number;
      /** Why the phase ends with this epoch, if before its last. */
      readonly stop?: string;
    }
  | {
      readonly type: "clustering";
      readonly eigenvectors: number;
      readonly sizes: readonly number[];
      readonly seconds: number;
    }
  /** Something is wrong that does not stop a run: `lopsided` clusters, of a round or in the end. */
  | { readonly type: "warning"; readonly message: string }
  /** There was no time for all epochs; what is left out. A later run can go on. */
  | { readonly type: "cut"; readonly message: string };
