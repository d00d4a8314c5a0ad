import { access } from "node:fs/promises";
import { basename, join } from "node:path";
import type { ParityReport } from "../../export/index.ts";
import type { Target } from "../../export/targets/index.ts";
import type { Precision } from "../../runtime/bundle.ts";
import { SubspanError } from "../../runtime/errors.ts";
import { packageVersion } from "../../runtime/node-version.ts";
import { loadSource, type Run, readRun } from "../../train/index.ts";
import type { Command, CommandContext } from "../command.ts";
import { exportFinished, movedSource } from "../exporting.ts";
import type { Options } from "../options.ts";
import { createReporter, type Reporter } from "../progress.ts";
import { checkSite, type SiteRequest, writeSite } from "../site.ts";
import { TARGET_NAMES, writeTarget } from "../targets.ts";
import { duration, pairs, percent, shellWord, size, table } from "../text.ts";

/** What goes with a bundle that is made of a run, besides --out, and with targets. */
const OF_BUNDLES = ["data", "precision", "unseen", "int8-activations", "parts", "with-coefficients", "overwrite"];
const OF_TARGETS = ["storage", "image"];
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
    [
      "--storage <uri>",
      "The bundle's folder where a cluster finds it, for kserve and k8s-job; pvc://models/NAME unless said",
    ],
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

async function run(context: CommandContext): Promise<void> {
  const { args, options } = context;
  const [folder = ""] = args;
  const target = options.choice("target", TARGET_NAMES);
  if (target !== undefined) return exportTarget(target, folder, context);
  const web = options.text("web");
  if (web === undefined && options.has("force")) throw new SubspanError("USAGE", "--force is for --web alone");
  const site = web === undefined ? undefined : { out: web, force: options.has("force") };
  const isMade = site !== undefined && (await isBundle(folder));
  if (isMade) options.refuse(["out", ...OF_BUNDLES, ...OF_TARGETS], "the site of a bundle");
  if (site !== undefined) await checkSite(site);
  if (site === undefined || !isMade) return exportBundle(folder, site, context);
  await printSite(await writeSite(folder, site), site, context);
}

async function exportTarget(target: Target, bundle: string, { options, io }: CommandContext): Promise<void> {
  options.refuse([...OF_BUNDLES, "web", "force"], `--target ${target}: it is made of a bundle as it is`);
  const out = options.required("out", target);
  const image = options.text("image") ?? `subspan:${packageVersion()}`;
  const files = await writeTarget(target, bundle, out, { storage: options.text("storage"), image });
  const json = options.has("json");
  io.stdout.write(
    json ? `${JSON.stringify({ target, out, files })}\n` : `${files.map((file) => join(out, file)).join("\n")}\n`,
  );
}

async function exportBundle(folder: string, site: SiteRequest | undefined, context: CommandContext): Promise<void> {
  const { options, io, signal, program } = context;
  options.refuse(OF_TARGETS, "the bundle of a run: give it with --target");
  const precision = precisionsOf(options);
  if (options.has("int8-activations") && !precision.includes("int8"))
    throw new SubspanError("USAGE", "--int8-activations is of the int8 graph: ask for it by --precision fp32,int8");
  const json = options.has("json");
  const reporter = createReporter(io, json);
  try {
    const found = await readRun(folder);
    const { dataset, unseen } = await samplesOf(found, options, reporter);
    const { path, bytes, parity, seconds } = await exportFinished(found, dataset, {
      out: options.text("out") ?? `bundles/${basename(folder)}`,
      parts: options.has("parts"),
      withCoefficients: options.has("with-coefficients"),
      int8Activations: options.has("int8-activations"),
      ...(unseen && { unseen }),
      overwrite: options.has("overwrite"),
      ...{ precision, signal, reporter, program },
    });
    reporter.close();
    if (!json)
      io.stdout.write(
        `${pairs([
          ["bundle", path],
          ["size", size(bytes)],
          ["seconds", duration(seconds)],
        ])}${variantTable(parity)}\nAssign samples with: ${program} assign ${shellWord(path)} SOURCE --out labels.csv\n`,
      );
    const siteBytes = site && (await writeSite(path, site));
    if (json) {
      const made = { path, bytes, seconds, parity, ...(site && { site: site.out, siteBytes }) };
      io.stdout.write(`${JSON.stringify(made)}\n`);
    } else if (site !== undefined && siteBytes !== undefined) printSite(siteBytes, site, context);
  } finally {
    reporter.close();
  }
}

/** The samples a run was trained on, and such as are compared on; images as its network takes them. */
async function samplesOf({ config }: Run, options: Options, reporter: Reporter) {
  const source = options.text("data") ?? config.source;
  reporter.doing(`reading ${source}`);
  const dataset = await loadSource(source).catch(movedSource(options));
  const unseen = options.text("unseen");
  if (unseen === undefined) return { dataset };
  const { kind, shape } = dataset.samples;
  const [, height, width, channels] = shape as [number, number, number, number];
  const images = { size: [height, width], channels: channels === 1 ? 1 : 3 } as const;
  return { dataset, unseen: await loadSource(unseen, kind === "images" ? { images } : {}) };
}

function printSite(bytes: number, { out }: SiteRequest, { io, options }: CommandContext): void {
  if (options.has("json")) io.stdout.write(`${JSON.stringify({ site: out, bytes })}\n`);
  else
    io.stdout.write(
      `${pairs([
        ["site", out],
        ["size", size(bytes)],
      ])}\nHow to host it: ${out}/README.md\n`,
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
