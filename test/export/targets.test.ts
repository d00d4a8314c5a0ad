import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type ColumnSource, parquetWriteBuffer } from "hyparquet-writer";
import { describe, expect, test } from "vitest";
import { bundleFiles, writeBundle } from "../../export/bundle.ts";
import { TARGETS } from "../../export/targets/index.ts";
import { type Bundle, openBundle } from "../../runtime/bundle.ts";
import { writeNpz } from "../../train/data/index.ts";
import { Random } from "../../train/random.ts";
import { toyModel } from "../runtime/toy.ts";
import { toyContent, toyManifest } from "./toy-clusterer.ts";

type Field = string | number | Message | readonly Field[];
interface Message {
  readonly [name: string]: readonly Field[];
}

/** Protobuf's text format, as far as config.pbtxt uses it: every field as the list of its values. */
function parseText(text: string): Message {
  const words = text.match(/"[^"]*"|[\w.]+|[{}[\]:,]/g) ?? [];
  let at = 0;
  const value = (): Field => {
    const word = words[at++] as string;
    if (word === "{") return message();
    if (word === "[") {
      const items: Field[] = [];
      while (words[at] !== "]")
        if (words[at] === ",") at++;
        else items.push(value());
      at++;
      return items;
    }
    return word.startsWith('"') ? word.slice(1, -1) : /^\d+$/.test(word) ? Number(word) : word;
  };
  const message = (): Message => {
    const fields: Record<string, Field[]> = {};
    while (at < words.length && words[at] !== "}") {
      const name = words[at++] as string;
      if (words[at] === ":") at++;
      const found = value();
      fields[name] = [...(fields[name] ?? []), ...(Array.isArray(found) ? found : [found])];
    }
    at++;
    return fields;
  };
  return message();
}

const OPTIONS = { storage: "pvc://store/toy", image: "registry/subspan:1" };
async function bundleOf(changes = {}): Promise<Bundle> {
  const files = await bundleFiles(await toyContent(toyManifest(changes)));
  return openBundle({ origin: "toy", read: async (path) => files.get(path) as Uint8Array });
}

describe("a model repository for Triton", async () => {
  const bundle = await bundleOf({ clusterNames: ["a", "b c", "d"] });
  const files = TARGETS.triton(bundle);
  const config = parseText(files["toy/config.pbtxt"] as string);

  test("has Triton's layout", () => {
    expect(Object.keys(files)).toEqual(["toy/config.pbtxt", "toy/1/model.onnx", "toy/labels.txt"]);
    expect(files["toy/1/model.onnx"]).toBe(bundle.model);
    expect(files["toy/labels.txt"]).toBe("a\nb c\nd\n");
  });

  test("tells of the graph's own inputs and outputs, without the batch's size", () => {
    const types: Record<string, string> = { float32: "TYPE_FP32", int64: "TYPE_INT64", uint8: "TYPE_UINT8" };
    const ports = (fields: readonly Field[]) =>
      (fields as Message[]).map(({ name, data_type, dims, reshape }) => ({
        ...{ name: name?.[0], type: data_type?.[0] },
        sizes: reshape ? (reshape[0] as Message).shape : dims,
      }));
    const expected = (values: Bundle["graph"]["inputs"]) =>
      values.map(({ name, dtype, shape }) => ({ name, type: types[dtype], sizes: shape.slice(1) }));
    expect(ports(config.input as Field[])).toEqual(expected(bundle.graph.inputs));
    expect(ports(config.output as Field[])).toEqual(expected(bundle.graph.outputs));
    expect(bundle.graph.outputs.every(({ shape }) => shape[0] === "N")).toBe(true);
    expect(config).toMatchObject({ name: ["toy"], backend: ["onnxruntime"], max_batch_size: [256] });
  });
});

describe("for Kubernetes", async () => {
  const bundle = await bundleOf({ name: "My_Digits.v2" });

  test("KServe's objects name the model, where it is and the protocol", () => {
    const files = TARGETS.kserve(bundle, OPTIONS);
    expect(Object.keys(files)).toContain("triton/My_Digits.v2/config.pbtxt");
    expect(files["triton-inference-service.yaml"]).toMatch(/name: my-digits-v2-triton\n/);
    expect(files["triton-inference-service.yaml"]).toMatch(
      /protocolVersion: v2\n +storageUri: "pvc:\/\/store\/toy\/triton"/,
    );
    expect(files["subspan-inference-service.yaml"]).toMatch(/storageUri: "pvc:\/\/store\/toy"/);
    expect(files["subspan-runtime.yaml"]).toMatch(/image: "registry\/subspan:1"/);
  });

  test("a Job runs each of its indices as that shard of as many", () => {
    const text = TARGETS["k8s-job"](bundle, OPTIONS)["job.yaml"] as string;
    const [, completions] = /completions: (\d+)/.exec(text) ?? [];
    expect(text).toContain(`--shard=$(JOB_COMPLETION_INDEX)/${completions}\n`);
    expect(text).toContain("--out=/data/labels-$(JOB_COMPLETION_INDEX).csv\n");
    expect(text).toContain('claimName: "store"');
    expect(text).toContain('- "/models/toy"\n');
  });

  test("unless it is said, the bundle is in its folder of the claim models; a Job mounts claims alone", () => {
    const image = "a";
    const text = TARGETS["k8s-job"](bundle, { image })["job.yaml"] as string;
    expect(text).toContain('- "/models/My_Digits.v2"\n');
    expect(text).toContain('claimName: "models"');
    const service = TARGETS.kserve(bundle, { image })["subspan-inference-service.yaml"];
    expect(service).toContain('storageUri: "pvc://models/My_Digits.v2"');
    const root = TARGETS["k8s-job"](bundle, { image, storage: "pvc://store" })["job.yaml"];
    expect(root).toContain('- "/models"\n');
    expect(() => TARGETS["k8s-job"](bundle, { image, storage: "s3://bucket/toy" })).toThrow(
      "--storage: expected a volume claim such as pvc://models/digits, got s3://bucket/toy",
    );
  });

  test("names begin with a letter, as KServe wants them", async () => {
    const files = TARGETS.kserve(await bundleOf({ name: "7-segments" }), OPTIONS);
    expect(files["subspan-inference-service.yaml"]).toMatch(/name: segments\n/);
  });
});

test.each(["spark", "ray"] as const)(
  "%s gets the graph and a module that names its input and outputs",
  async (target) => {
    const bundle = await bundleOf();
    const files = TARGETS[target](bundle);
    expect(files["model.onnx"]).toBe(bundle.model);
    const text = files[`subspan_${target}.py`] as string;
    expect(text).toContain('INPUT = "features"\nSHAPE = (4,)  # of one sample\nDTYPE = np.float32\n');
    expect(text).toContain('OUTPUTS = ["label", "confidence", "novelty"]\n');
  },
);

/** Where test/interop/targets.sh finds all targets, rows as Spark reads them, and what `subspan assign` gives for these. */
const LEFT = process.env.SUBSPAN_TARGETS;

test.runIf(LEFT !== undefined)("are left for the engines' own packages", async () => {
  const { subspan } = await import("../cli/tiny-cli.ts"); // all of the program, which the other tests need not wait for
  const folder = LEFT as string;
  const at = (name: string) => join(folder, name);
  const random = new Random(1, "targets");
  const n = 100_000;
  const data = Float32Array.from({ length: 4 * n }, () => 8 * random.uniform());
  await writeBundle(at("toy"), await toyContent());
  await writeNpz(at("x.npz"), { x: { data, shape: [n, 4] } });
  const columnData = [
    { name: "index", data: BigInt64Array.from({ length: n }, (_, i) => BigInt(i)) },
    { name: "x", data: Array.from({ length: n }, (_, i) => Array.from(data.subarray(4 * i, 4 * i + 4))) },
  ] as ColumnSource[];
  const schema = [
    { name: "root", num_children: 2 },
    { name: "index", type: "INT64", repetition_type: "REQUIRED" },
    { name: "x", repetition_type: "REQUIRED", num_children: 1, converted_type: "LIST" },
    { name: "list", repetition_type: "REPEATED", num_children: 1 },
    { name: "element", type: "FLOAT", repetition_type: "REQUIRED" },
  ] as const;
  const rows = parquetWriteBuffer({ columnData, schema: [...schema], rowGroupSize: 25_600 });
  await writeFile(at("rows.parquet"), new Uint8Array(rows));
  for (const target of Object.keys(TARGETS))
    expect((await subspan("export", at("toy"), "--target", target, "--out", at(target))).stderr).toBe("");
  await writeFile(at("toy.onnx"), toyModel("images"));
  expect((await subspan("export", at("toy.onnx"), "--target", "ray", "--out", at("ray-images"))).stderr).toBe("");
  const assigned = await subspan("assign", at("toy"), at("x.npz"), "--device", "cpu", "--out", at("labels.npz"));
  expect(assigned.code).toBe(0);
});
