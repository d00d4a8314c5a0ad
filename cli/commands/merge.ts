import { extname } from "node:path";
import { SubspanError } from "../../runtime/errors.ts";
import type { Command, CommandContext } from "../command.ts";
import { labelFormat, refuseToReplace } from "../label-files.ts";
import { readShards } from "../shards.ts";
import { grouped } from "../text.ts";

export const merge: Command = {
  usage: "merge <shards...>",
  description: "Join the files that assign --shard wrote to the one that it would have written alone",
  options: [
    ["--out <file>", "The whole; it ends as the shards do: .csv, .jsonl, .npz or .parquet"],
    ["--json", "The result as JSON"],
  ],
  examples: ["merge labels-*.csv --out labels.csv", "merge shards/*.parquet --out labels.parquet"],
  run,
};

async function run({ args, options, io }: CommandContext): Promise<void> {
  const out = options.required("out", "labels.csv");
  const format = labelFormat(out);
  const other = args.find((path) => extname(path).toLowerCase() !== extname(out).toLowerCase());
  if (other !== undefined)
    throw new SubspanError("USAGE", `--out ${out}: expected a name that ends as the shards do, such as ${other}`);
  await refuseToReplace(out, args);
  const shards = await readShards(args);
  await format.merge(
    shards.map(({ path }) => path),
    out,
  );
  const samples = shards[0]?.record.samples ?? 0;
  if (options.has("json")) io.stdout.write(`${JSON.stringify({ samples, shards: shards.length, out })}\n`);
  else io.stdout.write(`${grouped(samples)} samples of ${shards.length} shards, in ${out}\n`);
}
