import { FAMILY_NAMES, family } from "./families.ts";
import { SKIPS } from "./outcomes.ts";
import type { Test } from "./run.ts";

/** How many tests went which way. */
export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export function counts(tests: readonly Test[]): Counts {
  const count = (result: Test["result"]) => tests.filter((test) => test.result === result).length;
  return { passed: count("passed"), failed: count("failed"), skipped: count("skipped") };
}

/** Passed of passed and failed, as a text such as "98.7 %". */
export function rate({ passed, failed }: Counts): string {
  return passed + failed === 0 ? "" : `${((100 * passed) / (passed + failed)).toFixed(1)} %`;
}

const row = (...cells: readonly (string | number)[]) => `| ${cells.join(" | ")} |`;

/** docs/conformance.md. */
export function summary(tests: readonly Test[]): string {
  const all = counts(tests);
  const executed = tests.filter((test) => test.result === "passed" && test.executed).length;
  const families = FAMILY_NAMES.map((name) => {
    const own = counts(tests.filter(({ file }) => family(file) === name));
    return row(name, own.passed, own.failed, own.skipped, rate(own));
  });
  const skips = SKIPS.map(({ reason, meaning }) =>
    row(reason, tests.filter((test) => test.result === "skipped" && test.reason === reason).length, meaning),
  );
  return `# Conformance: tfjs's own tests on compiled graphs

tfjs-core ships the tests that its backends must pass. \`npm run test:conformance\` runs those of version 4.22.0 on a backend that
computes by what subspan compiles: every kernel call is lowered to ONNX nodes as in a trace, and reading a tensor runs the nodes it
needs on ONNX Runtime. Each test runs three times: on tfjs's CPU backend, which is the reference, and on ours with the test's
numbers as inputs of the graph and as its constants. It passes if it passes in both forms, with tfjs's own tolerance (1e-3); where
numbers decide a shape and a lowering refuses them as inputs, as constants.
The command writes this page; \`conformance.csv\` has a row for every test that did not pass.

**${all.passed} of ${all.passed + all.failed} pass, ${rate(all)}**; ONNX Runtime ran for ${executed} of them, the others look at shapes or expect an error.
${all.skipped} more say nothing of the compiler or need what it refuses by nature; the last table has every reason.

| family | passed | failed | skipped | pass rate |
| --- | --- | --- | --- | --- |
${families.join("\n")}

| skipped because | tests | it |
| --- | --- | --- |
${skips.join("\n")}
`;
}

/** docs/conformance.csv. */
export function rows(tests: readonly Test[]): string {
  const cell = (text: string) => (/[;"\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const lines = tests
    .filter(({ result }) => result !== "passed")
    .map(({ file, name, result, reason }) => [file, name, result, reason].map(cell).join(";"));
  return `${["file;test;result;reason", ...lines].join("\n")}\n`;
}
