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
  /** The spec's file and name, "ops/abs: abs basic". */
  readonly test: string;
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
const lacks = (...kernels: string[]) => refused(new RegExp(`^no lowering for kernel (${kernels.join("|")})\\b`));

/** Specs that expect an error at indices outside a tensor: in a graph indices are data, seen when it runs. */
const INDEX_ERRORS: ReadonlySet<string> = new Set([
  "ops/gather: gather throws when index is out of bound",
  "ops/sparse/sparse_segment_mean: sparseSegmentMean throw error if indices < 0",
  "ops/sparse/sparse_segment_mean: sparseSegmentMean throw error if indices >= max rows",
  "ops/sparse/sparse_segment_sum: sparseSegmentSum indices invalid 1",
  "ops/sparse/sparse_segment_sum: sparseSegmentSum indices invalid 2",
]);

/** The gradient of a mean that leaves padding out: tfjs divides by the window's whole length all the same (pooling.ts). */
const WRONG: ReadonlySet<string> = new Set(["ops/avg_pool: avgPool gradient x=[3,3,1] f=[3,3] s=1 p=explicit"]);

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
    holds: refused(/dtype string|hold no strings/),
  },
  {
    reason: "complex64",
    meaning: "has complex tensors, which ONNX lacks",
    holds: (runs) => refused(/dtype complex64/)(runs) || lacks("Complex", "Real", "Imag", "FFT", "IFFT")(runs),
  },
  {
    reason: "shape depends on data",
    meaning: "has an output whose shape depends on numbers; a trace has static shapes (export/refused.ts)",
    holds: refused(/the size of its result depends on data/),
  },
  {
    reason: "error depends on data",
    meaning: "expects an error at indices outside a tensor before anything runs; a trace has no data",
    holds: ({ test }) => INDEX_ERRORS.has(test),
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
    reason: "tfjs is wrong",
    meaning: "expects numbers of tfjs's kernel that are not the gradient of its forward kernel; ours are",
    holds: ({ test }) => WRONG.has(test),
  },
  {
    reason: "last bit",
    meaning:
      "compares numbers so large that tfjs's tolerance is finer than a float32; they differ by its last bit at most",
    holds: ({ ours }) =>
      ours.some(({ status }) => status === "failed") &&
      ours.every(({ status, errors }) => status === "passed" || errors.every(isLastBit)),
  },
  {
    reason: "calls no kernel",
    meaning:
      "ends in tfjs's own code (argument checks, memory counts, kernels of the test's own) before any of our lowerings",
    holds: ({ ours }) => ours.every(({ traced, refusals }) => !traced && refusals.length === 0),
  },
];

/** How a lowering refuses inputs of the graph whose numbers decide a shape, and which it takes as constants. */
const NEEDS_CONSTANTS = /that are constants, got a traced tensor/;

/**
 * What a spec says of our lowerings: it passed if it did on both of our backends and met no kernel that is missing. A run that
 * had to have constants does not count beside one that had them.
 */
export function outcome(runs: Runs): Outcome {
  const skip = SKIPS.find(({ holds }) => holds(runs));
  if (skip !== undefined) return { result: "skipped", reason: skip.reason };
  const able = runs.ours.filter(({ refusals }) => !refusals.some((message) => NEEDS_CONSTANTS.test(message)));
  for (const { status, errors, refusals } of able.length > 0 ? able : runs.ours) {
    const missing = refusals.find((message) => message.startsWith("no lowering for"));
    if (missing !== undefined) return { result: "failed", reason: missing };
    if (status === "failed") return { result: "failed", reason: firstLine(errors[0] ?? "no expectation") };
  }
  return { result: "passed", reason: "" };
}

/** Whether tfjs's message that arrays differ lists numbers that are, but for tfjs's tolerance, the same or neighbours as float32. */
function isLastBit(message: string): boolean {
  const [, actual, expected] = /^Error: Arrays differ.*\nActual: +(.*)\.\nExpected: (.*)\.$/.exec(message) ?? [];
  if (actual === undefined || expected === undefined) return false;
  const wanted = expected.split(",").map(Number);
  return actual.split(",").every((text, i) => {
    const want = wanted[i] as number;
    const lastBit = 2 ** (Math.floor(Math.log2(Math.abs(want))) - 23);
    return Math.abs(Number(text) - want) <= Math.max(1e-3, lastBit);
  });
}

/** The first line of an error without the numbers of nodes, which change with every other lowering. */
function firstLine(message: string): string {
  const line = message.split("\n", 1)[0] as string;
  return line.replace(/([A-Za-z])_\d+/g, "$1").slice(0, 200);
}
