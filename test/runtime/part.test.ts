import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as ort from "onnxruntime-node";
import { expect, test, vi } from "vitest";
import { openModel } from "../../runtime/bundle.ts";
import { Clusterer } from "../../runtime/clusterer.ts";
import { type Runtime, SessionEngine } from "../../runtime/engine.ts";
import { checkGraph } from "../../runtime/graph-check.ts";
import { decodeImage, loadClusterer, type OutputName } from "../../runtime/node.ts";
import { GRAPH, MODEL } from "../../runtime/onnx-schema.ts";
import { type Part, partOf } from "../../runtime/part.ts";
import { Sessions } from "../../runtime/sessions.ts";
import { message, model, node, tensor, toyModel, value } from "./toy.ts";

const toy = openModel(toyModel("images"));
const images = { data: Uint8Array.from({ length: 4 * 30 }, (_, i) => (i * 37) % 256), shape: [30, 2, 2, 1] };
const nodesOf = ({ model }: Part) => checkGraph(model).nodes;

test.each([
  ["latent", "latent", 3],
  ["embedding", "embedding,latent", 4],
  ["probabilities", "probabilities,embedding,latent", 5],
  ["label", "label,probabilities,embedding,latent", 6],
  ["novelty", "novelty,probabilities,embedding,latent", 6],
])("what %s needs makes %s, in %i nodes", async (asked, made, nodes) => {
  const part = await partOf(toy, [asked]);
  expect([part.name, nodesOf(part)]).toEqual([made, nodes]);
  const { inputs, outputs, steps } = checkGraph(part.model);
  expect(inputs).toEqual(toy.graph.inputs);
  expect(outputs).toEqual(toy.graph.outputs.filter(({ name }) => part.outputs.includes(name)));
  expect(toy.graph.steps).toEqual(expect.arrayContaining([...steps]));
});

test("label, confidence and novelty need all: the part is the bytes that were checked", async () => {
  const { model, name } = await partOf(toy, ["label", "confidence", "novelty"]);
  expect(model).toBe(toy.model);
  expect(name).toBe("label,confidence,novelty,probabilities,embedding,latent");
});

test("arrays that only others read are left out; an Identity of a needed value is not, nor what one node makes besides", async () => {
  const port = (name: string) => value(name, 1, ["N", 2]);
  const big = new Float32Array(200_000);
  const bytes = model(
    [
      [GRAPH.initializer, tensor("small", [2], Float32Array.of(1, 2))],
      [GRAPH.initializer, tensor("big", [100_000, 2], big)],
      [GRAPH.node, node("Add", ["x", "small"], ["sum"])],
      [GRAPH.node, node("Clip", ["sum", "", "small"], ["y"])],
      [GRAPH.node, node("Identity", ["sum"], ["z"])],
      [GRAPH.node, node("Gather", ["big", "x"], ["far"])],
      [GRAPH.valueInfo, port("far")],
      [GRAPH.valueInfo, port("sum")],
      [GRAPH.input, port("x")],
      ...["y", "z", "far"].map((name) => [GRAPH.output, port(name)] as const),
      [GRAPH.metadataProps, message([1, "key"], [2, "value"])],
    ],
    [MODEL.metadataProps, message([1, "note"], [2, "not for ONNX Runtime"])],
  );
  const graph = checkGraph(bytes);
  const part = await partOf({ model: bytes, graph }, ["y"]);
  expect(part.name).toBe("y,z");
  expect(part.model.length).toBeLessThan(500);
  expect(checkGraph(part.model)).toMatchObject({
    nodes: 3,
    parameterBytes: 8,
    operators: { Add: 1, Clip: 1, Identity: 1 },
  });
  expect(await partOf({ model: bytes, graph }, ["far"])).toMatchObject({ name: "far" });
});

/** Nodes that ONNX Runtime ran for one sample of zeros, by its own profiler. */
async function ran(part: Part): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), "subspan-part-"));
  const profile = { enableProfiling: true, profileFilePrefix: join(folder, "run") };
  const options = { executionProviders: ["cpu"], graphOptimizationLevel: "disabled", ...profile } as const;
  const engine = new SessionEngine(ort, toy.manifest, options);
  await engine.open(part);
  await engine.release();
  const [file] = await readdir(folder);
  const events = JSON.parse(await readFile(join(folder, file!), "utf8")) as { cat: string; name: string }[];
  await rm(folder, { recursive: true });
  return events.filter(({ cat, name }) => cat === "Node" && name.endsWith("_kernel_time")).length;
}

test("ONNX Runtime runs a part's nodes, and no more", async () => {
  expect(await ran(await partOf(toy, ["label", "confidence", "novelty"]))).toBe(8);
  expect(await ran(await partOf(toy, ["label"]))).toBe(6);
  expect(await ran(await partOf(toy, ["latent"]))).toBe(3);
});

const ALL = ["label", "confidence", "novelty", "probabilities", "embedding", "latent"] as const satisfies OutputName[];

test("each output alone is what it is with all the others, to the bit, in any order asked", async () => {
  const clusterer = await loadClusterer(toy, { device: "cpu" });
  const all = await clusterer.assign(images, { outputs: ALL });
  for (const output of [...ALL, ...ALL].reverse())
    expect((await clusterer.assign(images, { outputs: [output] }))[output]).toEqual(all[output]);
  expect((await clusterer.assign(images, { outputs: ["latent", "label", "latent"] })).label).toEqual(all.label);
  await clusterer.dispose();
});

/** ONNX Runtime, and how many of its sessions are open. */
function counting(): Runtime & { open: number; opened: number } {
  const counted = {
    ...{ open: 0, opened: 0, Tensor: ort.Tensor as Runtime["Tensor"] },
    InferenceSession: {
      create: async (...args: Parameters<Runtime["InferenceSession"]["create"]>) => {
        const session = await ort.InferenceSession.create(...args);
        counted.open++;
        counted.opened++;
        const release = session.release.bind(session);
        session.release = async () => {
          counted.open--;
          await release();
        };
        return session;
      },
    },
  };
  return counted;
}

async function counted(runtime: Runtime): Promise<Clusterer> {
  const part = await partOf(toy, ["label", "confidence", "novelty"]);
  const engine = new SessionEngine(runtime, toy.manifest, {});
  await engine.open(part);
  const where = { device: "cpu", requested: "cpu", failures: [], worker: false, notes: [] } as const;
  return new Clusterer(new Sessions(engine, toy, part), toy, where, decodeImage as never);
}

test("sets of outputs that need the same nodes share a session; of more than three the one longest unused goes", async () => {
  const runtime = counting();
  const clusterer = await counted(runtime);
  const ask = (...outputs: OutputName[]) => clusterer.assign(images, { outputs });
  await ask("label", "confidence", "novelty");
  await ask(...ALL);
  await ask("confidence", "novelty", "label", "latent");
  expect([runtime.open, runtime.opened]).toEqual([1, 1]);
  await ask("latent");
  await ask("embedding", "latent");
  await ask("embedding");
  expect([runtime.open, runtime.opened]).toEqual([3, 3]);
  for (let round = 0; round < 3; round++) {
    await ask("label", "confidence", "novelty");
    await ask("probabilities");
    await ask("novelty");
    expect([runtime.open, runtime.opened]).toEqual([3, 5]);
  }
  await Promise.all([ask("latent"), ask("label"), ask("probabilities"), clusterer.assign(images)]);
  expect(runtime.open).toBe(3);
  await clusterer.dispose();
  expect(runtime.open).toBe(0);
});

test("a part that cannot be opened is ASSIGN_FAILED; what is open goes on, and the part is tried again", async () => {
  const runtime = counting();
  const clusterer = await counted(runtime);
  const create = vi.spyOn(runtime.InferenceSession, "create").mockRejectedValueOnce(new Error("out of memory"));
  const failed = clusterer.assign(images, { outputs: ["latent"] });
  await expect(failed).rejects.toMatchObject({
    code: "ASSIGN_FAILED",
    message: expect.stringContaining("out of memory"),
  });
  expect((await clusterer.assign(images)).count).toBe(30);
  expect((await clusterer.assign(images, { outputs: ["latent"] })).latent.shape).toEqual([30, 4]);
  expect(create).toHaveBeenCalledTimes(2);
  await clusterer.dispose();
  expect(runtime.open).toBe(0);
});
