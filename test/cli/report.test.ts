import { readFile, rm } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { subspan, TINY_SETTINGS, temporaryFolder, writeTiny } from "./tiny-cli.ts";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
const at = (name: string) => folder.path(name);
beforeAll(async () => {
  folder = await temporaryFolder();
  await writeTiny(at("seen.npz"), 60, 1);
});
afterAll(() => folder.remove());

describe("a run whose clusters were to be chosen", () => {
  const settings = TINY_SETTINGS.map((word, i) => (TINY_SETTINGS[i - 1] === "--clusters" ? "auto" : word));
  const train = (...more: string[]) =>
    subspan("train", "--data", at("seen.npz"), "--out", at("run"), ...settings, ...more);

  test("tells the choice and its candidates, goes on with it, and has a report", async () => {
    const { code, stdout, stderr } = await train();
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringMatching(/^choosing K: pretraining: 2 epochs/m) });
    const chosen = /^(\d+) clusters, the clearest eigengap after pretraining; candidates: (\d+) \(0\.\d{3}\), /m.exec(
      stderr,
    );
    expect(chosen?.[1]).toBe(chosen?.[2]);
    expect(stdout).toContain(`${chosen?.[1]} clusters of`);
    expect(JSON.parse(await readFile(at("run/config.json"), "utf8")).config.clusters).toBe(Number(chosen?.[1]));
    expect(stdout).toContain(at("run/report.html"));
    expect((await train("--resume")).code).toBe(0);
  });

  test("is reported again at any time", async () => {
    await rm(at("run/report.html"));
    expect(await subspan("report", at("run"))).toEqual({ code: 0, stdout: `${at("run/report.html")}\n`, stderr: "" });
    expect(await readFile(at("run/report.html"), "utf8")).toContain("<h2>Choosing K</h2>");
  });
});

test("a report needs a run, and a bundle that is there", async () => {
  expect(await subspan("report")).toMatchObject({ code: 2, stderr: expect.stringContaining("<run> is missing") });
  expect(await subspan("report", at("none"))).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("no run is there"),
  });
  expect(await subspan("report", at("run"), "--bundle", at("none"))).toMatchObject({ code: 1 });
});
