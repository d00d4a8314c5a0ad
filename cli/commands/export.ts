import { basename } from "node:path";
import { SubspanError } from "../../runtime/errors.ts";
import { loadSource, readRun } from "../../train/index.ts";
import type { Command, CommandContext } from "../command.ts";
import { exportFinished } from "../exporting.ts";
import type { Options } from "../options.ts";
import { createReporter } from "../progress.ts";
import { duration, pairs, size } from "../text.ts";

const PRECISIONS = ["fp32", "fp16", "int8"];

export const exportCommand: Command = {
  usage: "export <run>",
  description: "Export a finished run as one ONNX graph, in a bundle",
  options: [
    ["--out <folder>", "The bundle's folder; bundles/RUN unless said"],
    ["--data <source>", "The samples it was trained on, if they are elsewhere now"],
    ["--precision <list>", "fp32"],
    ["--parts", "Also the graph in parts: encoder, head, assignment"],
    ["--with-coefficients", "Also the coefficients, of self-expressive methods"],
    ["--overwrite", "Replace the bundle in --out"],
    ["--json", "The result as JSON"],
  ],
  examples: ["export runs/digits", "export runs/digits --out bundles/digits --parts --overwrite"],
  run,
};

async function run({ args, options, io, signal, program }: CommandContext): Promise<void> {
  const [folder = ""] = args;
  const precision = precisionsOf(options);
  const json = options.has("json");
  const reporter = createReporter(io, json);
  try {
    const found = await readRun(folder);
    const source = options.text("data") ?? found.config.source;
    reporter.doing(`reading ${source}`);
    const { path, bytes, parity, seconds } = await exportFinished(found, await loadSource(source), {
      out: options.text("out") ?? `bundles/${basename(folder)}`,
      parts: options.has("parts"),
      withCoefficients: options.has("with-coefficients"),
      overwrite: options.has("overwrite"),
      ...{ precision, signal, reporter, program },
    });
    reporter.close();
    if (json) {
      io.stdout.write(`${JSON.stringify({ path, bytes, seconds, parity })}\n`);
      return;
    }
    const lines = pairs([
      ["bundle", path],
      ["size", size(bytes)],
      ["seconds", duration(seconds)],
    ]);
    io.stdout.write(`${lines}\nAssign samples with: ${program} assign ${path} SOURCE --out labels.csv\n`);
  } finally {
    reporter.close();
  }
}

function precisionsOf(options: Options): string[] {
  const precisions = (options.text("precision") ?? "fp32").split(",");
  const unknown = precisions.find((precision) => !PRECISIONS.includes(precision));
  if (unknown !== undefined)
    throw new SubspanError("USAGE", `--precision: expected ${PRECISIONS.join(", ")}, got ${unknown}`);
  const later = precisions.find((precision) => precision !== "fp32");
  if (later !== undefined)
    throw new SubspanError("USAGE", `--precision ${later} is not available in this version; bundles are fp32`);
  return precisions;
}
