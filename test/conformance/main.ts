/**
 * Runs tfjs's own tests on what subspan compiles (vite.config.ts makes this one file for Node) and writes docs/conformance.md and
 * docs/conformance.csv. A part of the tests is printed instead: `--file ops/pad` runs the files whose path holds this,
 * `--every 5` a fifth of each file's tests. With `--json <path>` the outcomes go there.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { counts, rate, rows, summary } from "./report.ts";
import { run } from "./run.ts";

const { values: options } = parseArgs({
  options: { file: { type: "string" }, every: { type: "string" }, json: { type: "string" } },
});

const tests = await run({ file: options.file ?? "", every: Number(options.every ?? 1) });
if (options.json !== undefined) writeFileSync(options.json, JSON.stringify(tests));
else if (options.file !== undefined || options.every !== undefined) process.stdout.write(rows(tests));
else {
  writeFileSync("docs/conformance.md", summary(tests));
  writeFileSync("docs/conformance.csv", rows(tests));
}
const all = counts(tests);
console.log(`${all.passed} passed, ${all.failed} failed, ${all.skipped} skipped: ${rate(all)}`);
