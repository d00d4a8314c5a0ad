import { expect, test } from "vitest";
import { Random } from "../../train/random.ts";

test("Philox 4x32-10 gives the published known answer for key 0, counter 0", () => {
  const random = Random.restore({ key: [0, 0], position: 0 });
  const draws = Array.from({ length: 4 }, () => random.bits());
  expect(draws).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
});

test("a restored generator goes on with the same draws", () => {
  const random = new Random(7, "shuffle");
  for (let i = 0; i < 13; i++) random.normal();
  const copy = Random.restore(random.state);
  expect(Array.from({ length: 9 }, () => copy.bits())).toEqual(Array.from({ length: 9 }, () => random.bits()));
});

test("streams and seeds are independent", () => {
  const first = (seed: number, stream: string) => new Random(seed, stream).bits();
  expect(new Set([first(0, "init"), first(0, "noise"), first(1, "init"), first(1, "noise")]).size).toBe(4);
});

test("normal draws have mean 0 and variance 1, a permutation has every index once", () => {
  const random = new Random(3, "noise");
  const draws = Array.from({ length: 20_000 }, () => random.normal());
  const mean = draws.reduce((a, b) => a + b) / draws.length;
  const variance = draws.reduce((a, b) => a + (b - mean) ** 2, 0) / draws.length;
  expect(Math.abs(mean)).toBeLessThan(0.03);
  expect(Math.abs(variance - 1)).toBeLessThan(0.04);
  expect([...random.permutation(100)].sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i));
});
