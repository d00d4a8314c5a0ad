/** How one spec went on one backend. */
export interface Run {
  readonly status: "passed" | "failed" | "pending";
  readonly errors: readonly string[];
  /** Messages of what our backend refused, whether or not the test expected an error. */
  readonly refusals: readonly string[];
  /** Whether a lowering was asked for anything, and whether ONNX Runtime ran. */
  readonly traced: boolean;
  readonly executed: boolean;
}

/** A spec's runs: on tfjs's CPU backend, which is the reference, and on ours; none where tfjs runs it on no backend. */
export interface Runs {
  readonly reference?: Run | undefined;
  readonly ours: readonly Run[];
}

export interface Outcome {
  readonly result: "passed" | "failed" | "skipped";
  /** Why it was skipped, or the first line of the first error. */
  readonly reason: string;
}

interface Skip {
  readonly reason: string;
  readonly meaning: string;
  readonly holds: (runs: Runs) => boolean;
}

/** Whether our backend refused something with a message like this. */
const refused = (message: RegExp) => (runs: Runs) => runs.ours.some((run) => run.refusals.some((x) => message.test(x)));

/** Whether it refused one of these kernels because there is no lowering. */
const lacks = (...kernels: string[]) => refused(new RegExp(`^no lowering for kernel (${kernels.join("|")})$`));

/** Every reason there is not to count a spec, the first that holds. What none excuses has passed or failed. */
export const SKIPS: readonly Skip[] = [
  {
    reason: "no backend",
    meaning: "a test of tfjs's own machinery (shapes, io, registry, environment) that tfjs runs without a backend",
    holds: ({ ours }) => ours.length === 0,
  },
  {
    reason: "pending in tfjs",
    meaning: "switched off by tfjs",
    holds: ({ reference }) => reference?.status === "pending",
  },
  {
    reason: "fails on the reference",
    meaning: "fails on tfjs's own CPU backend in this harness too",
    holds: ({ reference }) => reference?.status === "failed",
  },
  {
    reason: "strings",
    meaning: "has tensors of strings, which subspan does not compile",
    holds: (runs) =>
      refused(/dtype string/)(runs) ||
      lacks("StringNGrams", "StringSplit", "StringToHashBucketFast", "StaticRegexReplace")(runs),
  },
  {
    reason: "complex64",
    meaning: "has complex tensors, which ONNX lacks",
    holds: (runs) => refused(/dtype complex64/)(runs) || lacks("Complex", "Real", "Imag", "FFT", "IFFT")(runs),
  },
  {
    reason: "shape depends on data",
    meaning: "has an output whose shape depends on numbers; a trace has static shapes",
    holds: lacks(
      "Where",
      "Unique",
      "NonMaxSuppressionV[345]",
      "Ragged\\w+",
      "SparseFillEmptyRows",
      "SparseSegment\\w+",
    ),
  },
  {
    reason: "random",
    meaning: "draws inside a kernel; a graph is pure",
    holds: lacks("Multinomial"),
  },
  {
    reason: "pixels of a page",
    meaning: "reads or writes a canvas or image of a browser",
    holds: lacks("FromPixels", "Draw"),
  },
  {
    reason: "reads synchronously",
    meaning: "reads a computed tensor without waiting; ONNX Runtime answers asynchronously",
    holds: refused(/read synchronously/),
  },
  {
    reason: "calls no kernel",
    meaning:
      "ends in tfjs's own code (argument checks, memory counts, kernels of the test's own) before any of our lowerings",
    holds: ({ ours }) => ours.every(({ traced, refusals }) => !traced && refusals.length === 0),
  },
];

/** What a spec says of our lowerings: it passed if it did on both of our backends and met no kernel that is missing. */
export function outcome(runs: Runs): Outcome {
  const skip = SKIPS.find(({ holds }) => holds(runs));
  if (skip !== undefined) return { result: "skipped", reason: skip.reason };
  for (const { status, errors, refusals } of runs.ours) {
    const missing = refusals.find((message) => message.startsWith("no lowering for"));
    if (missing !== undefined) return { result: "failed", reason: missing };
    if (status === "failed") return { result: "failed", reason: firstLine(errors[0] ?? "no expectation") };
  }
  return { result: "passed", reason: "" };
}

/** The first line of an error without the numbers of nodes, which change with every other lowering. */
function firstLine(message: string): string {
  const line = message.split("\n", 1)[0] as string;
  return line.replace(/([A-Za-z])_\d+/g, "$1").slice(0, 200);
}
