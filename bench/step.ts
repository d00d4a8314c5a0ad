/**
 * Times training steps of our engine against PyTorch, tfjs-node, jax-js and tfjs WASM on the same CPU, all in turns in one run;
 * medians. `npm run bench:step [-- --workload autoencoder,resnet18,energy] [-- --rounds 9] [-- --threads 2] [-- --json]`.
 *
 * PyTorch has to be there. tfjs-node takes part after `npm run setup:tfjs-node`; a contestant that does not is a line that says why.
 */
import { execFileSync } from "node:child_process";
import { parseArgs } from "node:util";
import { contest, isTorchThere, type Row, STEPS, tiny } from "./step/contest.ts";
import { table } from "./step/table.ts";
import { nameOf, SPECS, WORKLOADS, type WorkloadName } from "./step/workload.ts";

const { values: options } = parseArgs({
  options: {
    json: { type: "boolean" },
    rounds: { type: "string", default: "9" },
    threads: { type: "string", default: "2" },
    workload: { type: "string", default: WORKLOADS.join(",") },
  },
});
const [rounds, threads] = [Number(options.rounds), Number(options.threads)];
const wanted = options.workload.split(",");
const unknown = wanted.filter((name) => !WORKLOADS.includes(name as WorkloadName));
if (unknown.length > 0) throw new Error(`--workload: expected ${WORKLOADS.join(", ")}, got ${unknown.join(", ")}`);

if (!isTorchThere()) execFileSync("bash", ["bench/environment.sh"], { stdio: "inherit" });
const rows: Row[] = [];
for (const name of wanted as WorkloadName[]) {
  for (const spec of SPECS[name]) {
    console.error(`${nameOf(spec)}, batch ${spec.batch} ...`);
    rows.push(await contest(spec, rounds, threads));
  }
}
const small = wanted.includes("autoencoder") ? await tiny(threads) : undefined;
if (options.json) console.log(JSON.stringify({ threads, rounds, rows, tiny: small }));
else {
  const versions = [...new Set(rows.flatMap((row) => row.versions))].join(", ");
  console.log(`training steps, ${threads} threads, ${rounds} rounds of ${STEPS} steps; ${versions}\n\n${table(rows)}`);
  for (const { workload, batch, parameters, loss } of rows) {
    const losses = Object.entries(loss).map(([engine, value]) => `${engine} ${value.toPrecision(4)}`);
    console.log(`${workload}, batch ${batch}: ${parameters} parameters each; first loss: ${losses.join(", ")}`);
  }
  if (small !== undefined) {
    const { subspan, tfjsCpu } = small;
    console.log(`4 images of 8x8: subspan ${subspan.toFixed(2)} ms, tfjs-backend-cpu ${tfjsCpu.toFixed(0)} ms`);
  }
}
