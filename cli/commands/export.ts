import { access } from "node:fs/promises";
import { basename, join } from "node:path";
import type { ParityReport } from "../../export/index.ts";
import type { Precision } from "../../runtime/bundle.ts";
import { SubspanError } from "../../runtime/errors.ts";
import { packageVersion } from "../../runtime/node-version.ts";
import { loadSource, readRun } from "../../train/index.ts";
import type { Command, CommandContext, Io } from "../command.ts";
import { exportFinished } from "../exporting.ts";
import type { Options } from "../options.ts";
import { createReporter } from "../progress.ts";
import { checkSite, type SiteRequest, writeSite } from "../site.ts";
import { TARGET_NAMES, writeTarget } from "../targets.ts";
import { duration, pairs, percent, size, table } from "../text.ts";

const PRECISIONS = ["fp32", "fp16", "int8"] as const satisfies readonly Precision[];

export const exportCommand: Command = {
  usage: "export <run>",
  description: "Export a finished run as one ONNX graph, in a bundle",
  options: [
    ["--out <folder>", "The bundle's folder; bundles/RUN unless said"],
    ["--data <source>", "The samples it was trained on, if they are elsewhere now"],
    ["--precision <list>", "fp32 (always there), fp16, int8: the graph in fewer bytes, each compared with fp32"],
    ["--unseen <source>", "Samples training has not seen, to compare them on; views of training's unless said"],
    ["--int8-activations", "The int8 graph's network also computes in int8: a sample's label may depend on its batch"],
    ["--parts", "Also the graph in parts: encoder, head, assignment"],
    ["--with-coefficients", "Also the coefficients, of self-expressive methods"],
    ["--overwrite", "Replace the bundle in --out"],
    ["--web <folder>", "Also a static site that assigns in the browser, with the bundle inside; <run> may be a bundle"],
    ["--target <engine>", `What ${TARGET_NAMES.join(", ")} needs, in --out; <run> is a bundle`],
    ["--storage <uri>", "Where a cluster finds it, for kserve and k8s-job; pvc://models unless said"],
    ["--image <name>", "Of a container with subspan, for these; subspan:VERSION unless said"],
    ["--force", "Replace what is in the folder of --web, whatever it is"],
    ["--json", "The result as JSON"],
  ],
  examples: [
    "export runs/digits",
    "export runs/digits --out bundles/digits --parts --overwrite",
    "export runs/digits --precision fp32,fp16,int8 --unseen digits:unseen",
    "export bundles/digits --web site",
    "export bundles/digits --target triton --out models",
  ],
  run,
};

async function run({ args, options, io, signal, program }: CommandContext): Promise<void> {
  const [folder = ""] = args;
  const precision = precisionsOf(options);
  const json = options.has("json");
  const reporter = createReporter(io, json);
  const web = options.text("web");
  const target = options.choice("target", TARGET_NAMES);
  if (target !== undefined) {
    const out = options.required("out", target);
    const image = options.text("image") ?? `subspan:${packageVersion()}`;
    const files = await writeTarget(target, folder, out, { storage: options.text("storage") ?? "pvc://models", image });
    io.stdout.write(
      json ? `${JSON.stringify({ target, out, files })}\n` : `${files.map((file) => join(out, file)).join("\n")}\n`,
    );
    return;
  }
  const site = web === undefined ? undefined : { out: web, force: options.has("force") };
  try {
    if (site !== undefined) await checkSite(site);
    if (site !== undefined && (await isBundle(folder))) {
      await printSite(folder, site, io, json);
      return;
    }
    const found = await readRun(folder);
    const source = options.text("data") ?? found.config.source;
    const unseen = options.text("unseen");
    reporter.doing(`reading ${source}`);
    const dataset = await loadSource(source);
    const { path, bytes, parity, seconds } = await exportFinished(found, dataset, {
      out: options.text("out") ?? `bundles/${basename(folder)}`,
      parts: options.has("parts"),
      withCoefficients: options.has("with-coefficients"),
      int8Activations: options.has("int8-activations"),
      ...(unseen !== undefined && { unseen: await loadSource(unseen) }),
      overwrite: options.has("overwrite"),
      ...{ precision, signal, reporter, program },
    });
    reporter.close();
    if (json) {
      io.stdout.write(`${JSON.stringify({ path, bytes, seconds, parity })}\n`);
      if (site !== undefined) await printSite(path, site, io, json);
      return;
    }
    const lines = pairs([
      ["bundle", path],
      ["size", size(bytes)],
      ["seconds", duration(seconds)],
    ]);
    io.stdout.write(
      `${lines}${variantTable(parity)}\nAssign samples with: ${program} assign ${path} SOURCE --out labels.csv\n`,
    );
    if (site !== undefined) await printSite(path, site, io, json);
  } finally {
    reporter.close();
  }
}

async function printSite(bundle: string, site: SiteRequest, io: Io, json: boolean): Promise<void> {
  const bytes = await writeSite(bundle, site);
  if (json) io.stdout.write(`${JSON.stringify({ site: site.out, bytes })}\n`);
  else
    io.stdout.write(
      `${pairs([
        ["site", site.out],
        ["size", size(bytes)],
      ])}\nHow to host it: ${site.out}/README.md\n`,
    );
}

/** Whether a path is that of a bundle rather than of a run. */
async function isBundle(path: string): Promise<boolean> {
  if (/\.(subspan|onnx)$/.test(path)) return true;
  return access(join(path, "manifest.json")).then(
    () => true,
    () => false,
  );
}

function precisionsOf(options: Options): Precision[] {
  const precisions = (options.text("precision") ?? "fp32").split(",");
  const unknown = precisions.find((precision) => !PRECISIONS.some((known) => known === precision));
  if (unknown !== undefined)
    throw new SubspanError("USAGE", `--precision: expected ${PRECISIONS.join(", ")}, got ${unknown}`);
  return PRECISIONS.filter((precision) => precisions.includes(precision));
}

/** What each variant weighs, and the least share of labels it has in common with fp32. */
function variantTable({ variants = {} }: ParityReport): string {
  const rows = Object.entries(variants).map(
    ([precision, { bytes, size: share, agrees, leastAgreement, comparisons }]) => [
      precision,
      size(bytes),
      percent(share),
      percent(Math.min(...comparisons.map(({ labelAgreement }) => labelAgreement))),
      agrees ? "" : `below ${percent(leastAgreement)}: used by those alone who name it`,
    ],
  );
  return rows.length === 0 ? "" : `\n${table([["variant", "size", "of fp32", "equal labels", ""], ...rows])}`;
}
