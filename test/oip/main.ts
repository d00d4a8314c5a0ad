/**
 * How well a server speaks the Open Inference Protocol v2 over REST, with the extensions that it says it has.
 *
 *     npm run test:oip -- --url http://localhost:8080 [--model NAME] [--token TOKEN] [--level protocol] [--json FILE]
 *
 * It loads and unloads the model if the server offers that. Exit code 0 if all cases pass, 1 if one does not, 2 for wrong use.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { casesFor, runCases, summary } from "./run.ts";
import { findTarget } from "./suite.ts";

const { values: options } = parseArgs({
  options: {
    url: { type: "string" },
    model: { type: "string" },
    token: { type: "string" },
    level: { type: "string", multiple: true },
    json: { type: "string" },
  },
});
if (options.url === undefined) {
  console.error("expected --url, the address of a server: npm run test:oip -- --url http://localhost:8080");
  process.exit(2);
}
const target = await findTarget(options.url, options).catch((error: Error) => {
  console.error(`${options.url}: ${error.message}`);
  process.exit(1);
});
const { level: levels } = options;
const cases = casesFor(target).filter(({ level }) => levels === undefined || levels.includes(level));
const results = await runCases(cases, ({ fault }) => process.stderr.write(fault === undefined ? "." : "F"));
target.endpoint.close();
process.stderr.write("\n");
console.log(summary(results));
if (options.json !== undefined) writeFileSync(options.json, JSON.stringify(results, null, 1));
process.exitCode = results.every(({ fault }) => fault === undefined) ? 0 : 1;
