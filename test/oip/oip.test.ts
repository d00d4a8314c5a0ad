import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RunningServer } from "../../serve/index.ts";
import { toyManifest, toyModel } from "../runtime/toy.ts";
import { type Built, buildServer } from "../serve/built.ts";
import { casesFor, runCases } from "./run.ts";
import { findTarget } from "./suite.ts";

let built: Built;
let server: RunningServer;
beforeAll(async () => {
  built = await buildServer();
  const vectors = toyModel("features", { ...toyManifest("features"), name: "vectors" });
  server = await built.serve({ bundles: [toyModel(), vectors], port: 0, workers: 2 });
});
afterAll(async () => {
  await server.close();
  await built.remove();
});

describe("the server speaks the Open Inference Protocol", () => {
  test.each(["toy", "vectors"])(
    "every case of the conformance suite passes for %s",
    async (model) => {
      const target = await findTarget(`http://127.0.0.1:${server.port}`, { model });
      const results = await runCases(casesFor(target));
      target.endpoint.close();
      expect(results.filter(({ fault }) => fault !== undefined)).toEqual([]);
      expect(results.length).toBeGreaterThanOrEqual(400);
    },
    300_000,
  );

  test("a server that answers everything with the metadata of a model fails", async () => {
    const tensors = [{ name: "x", datatype: "FP32", shape: [-1, 2] }];
    const metadata = { name: "m", version: "1", extensions: [], platform: "p", inputs: tensors, outputs: tensors };
    const wrong = createServer((request, response) => {
      request.resume().on("end", () => response.end(JSON.stringify(metadata)));
    });
    await once(wrong.listen(0), "listening");
    const target = await findTarget(`http://127.0.0.1:${(wrong.address() as AddressInfo).port}`, { model: "m" });
    const results = await runCases(casesFor(target).filter(({ group }) => group !== "malformed HTTP"));
    target.endpoint.close();
    wrong.close();
    const passed = results.filter(({ fault }) => fault === undefined);
    expect(new Set(passed.map(({ group }) => group))).toEqual(new Set(["server metadata", "model metadata"]));
  });
});
