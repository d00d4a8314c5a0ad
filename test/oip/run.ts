import { healthCases } from "./cases/health.ts";
import { binaryCases, inferCases } from "./cases/infer.ts";
import { malformedCases } from "./cases/malformed.ts";
import { extensionCases, pathCases, wireCases } from "./cases/paths.ts";
import type { Case, Target } from "./suite.ts";

export interface Result extends Omit<Case, "run"> {
  /** What is wrong; absent where nothing is. */
  readonly fault?: string;
}

/** All there is to ask a server about one of its models, in the order it is asked. */
export function casesFor(target: Target): Case[] {
  const families = [healthCases, inferCases, binaryCases, malformedCases, pathCases, wireCases, extensionCases];
  return families.flatMap((family) => family(target));
}

/** Runs cases one after the other. */
export async function runCases(
  cases: readonly Case[],
  onResult: (result: Result) => void = () => {},
): Promise<Result[]> {
  const results: Result[] = [];
  for (const { run, ...told } of cases) {
    const fault = await run().then(
      () => undefined,
      (error: Error) => error.message,
    );
    results.push({ ...told, ...(fault !== undefined && { fault }) });
    onResult(results.at(-1) as Result);
  }
  return results;
}

/** How many of each group and of each level pass, as a Markdown table; then what failed. */
export function summary(results: readonly Result[]): string {
  const passed = (some: readonly Result[]) =>
    `${some.filter(({ fault }) => fault === undefined).length} of ${some.length}`;
  const by = (key: "level" | "group") =>
    [...new Set(results.map((result) => result[key]))].map(
      (name) => `| ${name} | ${passed(results.filter((result) => result[key] === name))} |`,
    );
  const failed = results.filter(({ fault }) => fault !== undefined);
  const faults = failed.map(
    ({ group, level, name, fault }) => `- ${group} (${level}): ${name}\n  ${fault?.split("\n")[0]}`,
  );
  return [
    ...[
      "| level | passed |",
      "| --- | --- |",
      ...by("level"),
      "",
      "| group | passed |",
      "| --- | --- |",
      ...by("group"),
      "",
    ],
    ...[...faults, faults.length > 0 ? "" : undefined, `${passed(results)} cases pass`].filter(
      (line) => line !== undefined,
    ),
  ].join("\n");
}
