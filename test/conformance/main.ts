/**
 * Runs tfjs's own tests on what subspan compiles (vite.config.ts makes this one file for Node). Writes docs/conformance.md and
 * docs/conformance.csv, or with `--json <file>` the outcomes only; `--every 5` runs a fifth of the tests of each file.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { counts, rate, rows, summary } from "./report.ts";
import { run } from "./run.ts";

const { values: options } = parseArgs({
  options: { json: { type: "string" }, every: { type: "string", default: "1" } },
});

const tests = await run(Number(options.every));
if (options.json !== undefined) writeFileSync(options.json, JSON.stringify(tests));
else {
  writeFileSync("docs/conformance.md", summary(tests));
  writeFileSync("docs/conformance.csv", rows(tests));
}
const all = counts(tests);
console.log(`${all.passed} passed, ${all.failed} failed, ${all.skipped} skipped: ${rate(all)}`);
