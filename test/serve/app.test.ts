import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { loadClusterer, SubspanError } from "../../runtime/node.ts";
import { createApp, type ServedClusterer, STATUS } from "../../serve/index.ts";
import { toyManifest, toyModel } from "../runtime/toy.ts";

let toy: Awaited<ReturnType<typeof loadClusterer>>;
beforeAll(async () => {
  const { clusterNames, ...manifest } = toyManifest("features");
  toy = await loadClusterer(toyModel("features", manifest), { device: "cpu", threads: 1 });
});
afterAll(() => toy.dispose());

const json = { "content-type": "application/json" };
const rows = { method: "POST", headers: json, body: '{"rows": [[0, 1, 0, 0]]}' };
const tensor = { name: "features", datatype: "FP32", shape: [1, 4], data: [0, 1, 0, 0] };
const infer = { method: "POST", headers: json, body: JSON.stringify({ inputs: [tensor] }) };

/** The toy, with an assign of another's. */
const served = (assign: () => Promise<unknown>) =>
  ({ info: toy.info, assign, dispose: () => toy.dispose() }) as unknown as ServedClusterer;

test("an app without a server answers web-standard requests", async () => {
  const app = createApp({ clusterers: [toy] });
  const answer = (await (await app.request("/v2/models/toy/assign", rows)).json()) as object;
  expect(answer).toEqual({ label: [1], confidence: [expect.any(Number)], novelty: [expect.any(Number)] });
});

test("a number that is not finite is null, and the answer still JSON", async () => {
  const numbers = { count: 1, label: Int32Array.of(1), confidence: Float32Array.of(Number.NaN) };
  const latent = { data: Float32Array.of(Number.POSITIVE_INFINITY, 0, Number.NEGATIVE_INFINITY, 1), shape: [1, 4] };
  const novelty = Float32Array.of(Number.POSITIVE_INFINITY);
  const app = createApp({ clusterers: [served(async () => ({ ...numbers, novelty, latent }))] });
  const assigned = await app.request("/v2/models/toy/assign", rows);
  expect(await assigned.json()).toEqual({ label: [1], confidence: [null], novelty: [null] });
  const outputs = [{ name: "latent" }];
  const body = JSON.stringify({ inputs: [tensor], outputs });
  const inferred = (await (await app.request("/v2/models/toy/infer", { ...infer, body })).json()) as {
    outputs: unknown;
  };
  expect(inferred.outputs).toEqual([{ name: "latent", datatype: "FP32", shape: [1, 4], data: [null, 0, null, 1] }]);
});

test.each(Object.entries(STATUS))("%s answers %i, and the operator hears of faults alone", async (code, status) => {
  const onFault = vi.fn();
  const error = new SubspanError(code as keyof typeof STATUS, "what was expected and what came");
  const app = createApp({ clusterers: [served(() => Promise.reject(error))], onFault });
  const answer = await app.request("/v2/models/toy/infer", infer);
  expect([answer.status, await answer.json()]).toEqual([status, { error: error.message }]);
  expect(onFault.mock.calls).toEqual(status < 500 ? [] : [[error]]);
});

test("a bug answers 500 and keeps its message to the operator", async () => {
  const onFault = vi.fn();
  const error = new TypeError("undefined is not a function, in a secret place");
  const app = createApp({ clusterers: [served(() => Promise.reject(error))], onFault });
  const answer = await app.request("/v2/models/toy/assign", rows);
  expect([answer.status, await answer.json()]).toEqual([500, { error: "internal error" }]);
  expect(onFault).toHaveBeenCalledWith(error);
});

test.each(["", "../toy", "__proto__", "a/b", "a b", "a\0"])("a model cannot be served as %j", (name) => {
  const clusterer = { ...served(async () => {}), info: { ...toy.info, name } };
  expect(() => createApp({ clusterers: [clusterer] })).toThrow(expect.objectContaining({ code: "USAGE" }));
});
