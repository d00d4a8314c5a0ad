import { basename } from "node:path";
import type { Precision } from "../runtime/bundle.ts";
import { SubspanError } from "../runtime/errors.ts";
import { checkSameData, type Dataset, exportRun, type Run } from "../train/index.ts";
import type { Options } from "./options.ts";
import type { Reporter } from "./progress.ts";
import { duration, shellWord } from "./text.ts";

export interface ExportRequest {
  readonly out: string;
  readonly parts: boolean;
  readonly withCoefficients: boolean;
  readonly precision: readonly Precision[];
  readonly int8Activations?: boolean;
  /** To compare variants on. */
  readonly unseen?: Dataset;
  readonly overwrite: boolean;
  readonly signal: AbortSignal;
  readonly reporter: Reporter;
  readonly program: string;
}

/** For a run's own source, which is as it was typed where training was started. */
export const movedSource = (options: Options) => (error: unknown) => {
  if (options.has("data") || !(error instanceof SubspanError) || error.code !== "SOURCE_MISSING") throw error;
  throw new SubspanError("SOURCE_MISSING", `${error.message}; --data says where the run's samples are now`);
};

/** Exports a finished run. @throws {SubspanError} RUN_INVALID if it is not finished, or was trained on other samples. */
export async function exportFinished(run: Run, dataset: Dataset, request: ExportRequest) {
  const { signal, reporter, program, out, unseen, ...wishes } = request;
  const { config, method, settings, state, folder } = run;
  if (state?.finished === undefined) {
    const hint = `finish it with: ${program} train --resume --out ${shellWord(folder)}`;
    throw new SubspanError("RUN_INVALID", `${folder}: is not finished; ${hint}`);
  }
  checkSameData(run, dataset);
  const { structure, labels, metrics } = state.finished;
  const { name, fingerprint, samples } = config.data;
  return exportRun({
    method,
    config: settings,
    samples: dataset.samples,
    parameters: state.training.parameters,
    structure,
    labels,
    run: {
      name: basename(out),
      seed: config.seed,
      data: { name, fingerprint, samples },
      metrics,
      preset: config.preset,
    },
    out,
    ...wishes,
    ...(unseen && { unseen: unseen.samples }),
    // It writes at its end, all or nothing: an error before that leaves nothing.
    onEvent: (event) => {
      if (signal.aborted) throw new SubspanError("INTERRUPTED", "stopped; nothing was written");
      reporter.doing(`export: ${event.stage}  ${duration(event.seconds)}`);
    },
  });
}
