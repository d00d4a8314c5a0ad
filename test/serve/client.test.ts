import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { InferenceClient, ServerError } from "../../serve/client.ts";
import type { RunningServer } from "../../serve/index.ts";
import { toyManifest, toyModel } from "../runtime/toy.ts";
import { type Built, buildServer } from "./built.ts";

const TOKEN = "inference-token-of-this-test";
const vectors = { ...toyManifest("features"), name: "vectors" };
let built: Built;
let server: RunningServer;
let client: InferenceClient;
beforeAll(async () => {
  built = await buildServer();
  const bundles = [toyModel(), toyModel("features", vectors)];
  server = await built.serve({ bundles, port: 0, workers: 1, tokens: { inference: [TOKEN], admin: [] } });
  client = new InferenceClient(`${server.url}/`, { token: TOKEN });
}, 60_000);
afterAll(async () => {
  await server.close();
  await built.remove();
});

const images = { name: "images", shape: [2, 2, 2, 1], data: Uint8Array.of(255, 0, 0, 0, 0, 255, 0, 0) };

test("says whether a server is live and ready, and that none is", async () => {
  expect(await client.health()).toEqual({ live: true, ready: true });
  expect(await new InferenceClient("http://127.0.0.1:9").health()).toEqual({ live: false, ready: false });
});

test("tells what a model takes and gives", async () => {
  const { inputs, outputs } = await client.metadata("vectors", { version: "1" });
  expect(inputs).toEqual([{ name: "features", datatype: "FP32", shape: [-1, 4] }]);
  expect(outputs[0]).toEqual({ name: "label", datatype: "INT64", shape: [-1] });
});

test("infers with typed arrays, in binary both ways", async () => {
  const answer = await client.infer("toy", [images], { id: "a", outputs: ["label", "embedding"] });
  expect(answer).toEqual({
    model: "toy",
    version: "1",
    id: "a",
    outputs: {
      label: { name: "label", datatype: "INT64", shape: [2], data: BigInt64Array.of(0n, 1n) },
      embedding: { name: "embedding", datatype: "FP32", shape: [2, 3], data: Float32Array.of(1, 0, 0, 0, 1, 0) },
    },
  });
});

test("a Buffer, as files are read, is bytes like any others", async () => {
  const { outputs } = await client.infer("toy", [{ ...images, data: Buffer.from(images.data) }], {
    outputs: ["label"],
  });
  expect(outputs.label!.data).toEqual(BigInt64Array.of(0n, 1n));
});

test("floats go as they are, whatever stands before them", async () => {
  const data = Float32Array.of(0.1, 2.5, 1e-30, -3);
  for (const id of ["", "1", "12", "123"]) {
    const { outputs } = await client.infer("vectors", [{ name: "features", shape: [1, 4], data }], { id });
    expect(outputs.latent!.data).toEqual(data);
    expect(Object.keys(outputs)).toHaveLength(6);
  }
});

test("understands a server that answers in JSON alone", async () => {
  const outputs = [
    { name: "label", datatype: "INT64", shape: [2], data: [0, 1] },
    { name: "score", datatype: "FP32", shape: [2, 1], data: [[0.5], [null]] },
    { name: "text", datatype: "BYTES", shape: [1], data: ["a"] },
  ];
  const other = new InferenceClient("http://other", {
    fetch: async () => Response.json({ model_name: "m", outputs }),
  });
  const answer = await other.infer("m", [images]);
  expect(Object.values(answer.outputs).map(({ data }) => data)).toEqual([
    BigInt64Array.of(0n, 1n),
    Float32Array.of(0.5, Number.NaN),
    ["a"],
  ]);
});

test("assigns rows and image files", async () => {
  const numbers = { confidence: expect.any(Number), novelty: expect.any(Number) };
  const rows = [[[[0], [9]], [[0], [0]]]]; // biome-ignore format: as the sample is
  expect(await client.assign("toy", rows)).toEqual([{ label: 1, name: "second", ...numbers }]);
  const [result] = await client.assign("toy", [new Blob(["no image"])]);
  expect(result).toEqual({ file: "image-0", error: expect.stringContaining("not an image") });
});

test("a refusal is an error with its status and what the server said", async () => {
  const wrong = client.infer("toy", [{ ...images, data: Float32Array.of(1) }]);
  await expect(wrong).rejects.toThrow(new ServerError(400, "images: expected UINT8, got FP32"));
  await expect(new InferenceClient(server.url).metadata("toy")).rejects.toMatchObject({ status: 401 });
  await expect(client.metadata("../toy")).rejects.toMatchObject({ status: 404 });
});

test("needs nothing: the client's file imports none", async () => {
  const text = await readFile(new URL("../../serve/client.ts", import.meta.url), "utf8");
  expect(text).not.toMatch(/^\s*import |\bimport\(|\bfrom "/m);
});
