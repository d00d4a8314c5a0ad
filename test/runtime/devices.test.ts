import { expect, test } from "vitest";
import { type Device, reasonOf, walkLadder } from "../../runtime/devices.ts";
import { loadClusterer } from "../../runtime/node.ts";
import { loadClusterer as loadInBrowser } from "../../runtime/web.ts";
import { toyModel } from "./toy.ts";

const ladder: readonly Device[] = ["cuda", "webgpu", "cpu"];
const only = (working: Device) => async (device: Device) => {
  if (device !== working) throw new Error(`no ${device}`);
  return device;
};

test("auto takes the first device that opens and says why others did not", async () => {
  const failures = [
    { device: "cuda", reason: "no cuda" },
    { device: "webgpu", reason: "no webgpu" },
  ];
  expect(await walkLadder("auto", false, ladder, only("cpu"))).toEqual({ device: "cpu", opened: "cpu", failures });
  expect(await walkLadder("auto", true, ladder, only("cuda"))).toMatchObject({ device: "cuda", failures: [] });
});

test("a named device falls back to those after it, strictly to none", async () => {
  expect(await walkLadder("webgpu", false, ladder, only("cpu"))).toMatchObject({
    device: "cpu",
    failures: [{ device: "webgpu", reason: "no webgpu" }],
  });
  const error = { code: "DEVICE_UNAVAILABLE", message: expect.stringContaining("webgpu: no webgpu") };
  await expect(walkLadder("webgpu", true, ladder, only("cpu"))).rejects.toMatchObject(error);
  await expect(walkLadder("wasm", true, ladder, only("cpu"))).rejects.toThrow("not offered here");
  expect((await walkLadder("wasm", false, ladder, only("cpu"))).device).toBe("cpu");
});

test("when nothing opens, the error has every reason", async () => {
  await expect(walkLadder("auto", false, ladder, only("wasm"))).rejects.toThrow(
    /cuda: no cuda; webgpu: .*; cpu: no cpu/,
  );
});

test("ONNX Runtime's reasons lose their source positions", () => {
  const text =
    "/src/webgpu_context.cc:136 Initialize(const Config&)::<lambda()> ok was false. Failed to get an adapter: x\n";
  expect(reasonOf(new Error(text))).toBe("Failed to get an adapter: x");
});

test("in Node, auto ends on a device that works and has a reason for each that does not", async () => {
  const clusterer = await loadClusterer(toyModel());
  const { info } = clusterer;
  expect(["cuda", "webgpu", "cpu"]).toContain(info.device);
  expect(info.failures.map(({ device }) => device)).toEqual(ladder.slice(0, ladder.indexOf(info.device)));
  for (const { reason } of info.failures) expect(reason).not.toBe("");
  await clusterer.dispose();
});

test("the browser's door runs on wasm, also in Node, and agrees with Node's", async () => {
  const data = Uint8Array.of(0, 255, 0, 0, 3, 2, 9, 7);
  const outputs = ["label", "confidence", "embedding"] as const;
  const wasm = await loadInBrowser(toyModel());
  const cpu = await loadClusterer(toyModel(), { device: "cpu", strict: true });
  expect(wasm.info).toMatchObject({ device: "wasm", threads: 1, failures: [{ device: "webgpu" }] });
  const [ours, theirs] = await Promise.all(
    [wasm, cpu].map((one) => one.assign({ data, shape: [2, 2, 2, 1] }, { outputs })),
  );
  expect(ours!.label).toEqual(theirs!.label);
  for (const [i, p] of ours!.confidence.entries()) expect(p).toBeCloseTo(theirs!.confidence[i]!, 6);
  expect((await wasm.assign({ data: new Uint8Array(0), shape: [0, 2, 2, 1] })).count).toBe(0);
  await Promise.all([wasm.dispose(), cpu.dispose()]);
});
