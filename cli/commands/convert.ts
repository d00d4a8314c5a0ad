import { writeFileAtomic } from "../../export/files.ts";
import {
  type ConversionCheck,
  type ConvertOptions,
  checkConversion,
  compareConversion,
  convertModel,
  encodeModel,
  loadModel,
  type Model,
  modelFunction,
} from "../../export/index.ts";
import { SubspanError } from "../../runtime/errors.ts";
import type { Command, CommandContext } from "../command.ts";
import { feedsFrom, randomFeeds } from "../model-inputs.ts";
import type { Options } from "../options.ts";
import { createReporter } from "../progress.ts";
import { duration, grouped, pairs, size, table } from "../text.ts";

export const convert: Command = {
  usage: "convert <model.json>",
  description: "Convert a tfjs model, Layers or Graph, to ONNX",
  options: [
    ["--out <file>", "The ONNX file; model.onnx unless said"],
    ["--signature", "Name inputs and outputs as the model's signature does, not as its nodes"],
    ["--shape <name=sizes>", "An input's shape where the model leaves it open: image=N,224,224,3"],
    ["--check", "Run both on random inputs; nothing is written if they differ"],
    ["--inputs <file>", "Check on the arrays of a .npz, named as the inputs"],
    ["--json", "The result as JSON"],
  ],
  examples: [
    "convert model.json --out model.onnx",
    "convert model.json --check --shape image=N,224,224,3",
    "convert model.json --signature --inputs samples.npz",
  ],
  run,
};

async function run({ args, options, io, signal }: CommandContext): Promise<void> {
  const [path = ""] = args;
  const out = destination(options);
  const settings = { signature: options.has("signature"), shapes: shapesOf(options.list("shape")) };
  const json = options.has("json");
  const reporter = createReporter(io, json);
  const began = performance.now();
  try {
    reporter.doing(`reading ${path}`);
    const source = await loadModel(path);
    reporter.doing("tracing");
    const model = convertModel(source, settings);
    const bytes = encodeModel(model);
    const seconds = (performance.now() - began) / 1000;
    let check: ConversionCheck | undefined;
    if (options.has("check") || options.has("inputs")) {
      reporter.doing("running both, tfjs on one thread of JavaScript");
      const fn = modelFunction(source, settings);
      const file = options.text("inputs");
      check = await compareConversion(fn, bytes, file === undefined ? randomFeeds(fn) : await feedsFrom(file, fn));
    }
    reporter.close();
    if (check !== undefined && !json) io.stdout.write(`${differences(check)}\n`);
    if (check !== undefined) checkConversion(check);
    if (signal.aborted) throw new SubspanError("INTERRUPTED", "stopped; nothing was written");
    await writeFileAtomic(out, bytes);
    const { inputs, outputs, nodes } = model;
    if (json) {
      const ports = { inputs, outputs, nodes: nodes.length };
      io.stdout.write(`${JSON.stringify({ path: out, bytes: bytes.length, seconds, ...ports, check })}\n`);
    } else io.stdout.write(summary(out, model, bytes.length, seconds));
  } finally {
    reporter.close();
  }
}

function destination(options: Options): string {
  const out = options.text("out") ?? "model.onnx";
  if (out.endsWith(".onnx")) return out;
  throw new SubspanError("USAGE", `--out ${out}: expected a name that ends with .onnx`);
}

/** "image=N,224,224,3" as { image: ["N", 224, 224, 3] }; a name may hold "=" itself. */
function shapesOf(texts: readonly string[]): NonNullable<ConvertOptions["shapes"]> {
  const entries = texts.map((text) => {
    const [, name, sizes] = /^(.+)=([^=]*)$/.exec(text) ?? [];
    if (name === undefined || sizes === undefined)
      throw new SubspanError("USAGE", `--shape: expected name=sizes, such as image=N,224,224,3, got ${text}`);
    const dims = sizes === "" ? [] : sizes.split(",").map((dim) => (/^\d+$/.test(dim) ? Number(dim) : dim));
    return [name, dims] as const;
  });
  return Object.fromEntries(entries);
}

function differences({ outputs, milliseconds: { tfjs, onnx } }: ConversionCheck): string {
  const figure = (value: number) => (value === 0 ? "0" : value.toExponential(1));
  const rows = Object.entries(outputs).map(([name, { shape, maxAbs, maxRel }]) => [
    name,
    `[${shape.join(", ")}]`,
    figure(maxAbs),
    figure(maxRel),
  ]);
  const time = (ms: number) => (ms < 1000 ? `${Number(ms.toPrecision(2))} ms` : duration(ms / 1000));
  const times = `one run: tfjs ${time(tfjs)}, ONNX Runtime ${time(onnx)}\n`;
  return `${table([["output", "shape", "max abs", "max rel (to its largest)"], ...rows])}${times}`;
}

function summary(out: string, { inputs, outputs, nodes }: Model, bytes: number, seconds: number): string {
  const ports = (all: Model["inputs"]) =>
    all.map(({ name, type, shape }) => `${name}: ${type} [${shape.join(", ")}]`).join(", ");
  return pairs([
    ["file", out],
    ["size", size(bytes)],
    ["inputs", ports(inputs)],
    ["outputs", ports(outputs)],
    ["nodes", grouped(nodes.length)],
    ["seconds", duration(seconds)],
  ]);
}
