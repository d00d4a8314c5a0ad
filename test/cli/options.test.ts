import { describe, expect, test } from "vitest";
import { declaredOptions, Options, settingsOf, shardOf } from "../../cli/options.ts";
import { programName } from "../../cli/program.ts";
import { shellWord } from "../../cli/text.ts";
import { nearestName } from "../../train/nearest-name.ts";

const declared = declaredOptions([
  "--out <file>",
  "--seed <n>",
  "--set <key=value>",
  "--max-time <time>",
  "--json",
  "-h, --help",
]);
const parse = (...argv: string[]) => Options.parse(argv, declared);

describe("options", () => {
  test("are what was typed: numbers stay text", () => {
    expect(parse("--out", "007").text("out")).toBe("007");
    expect(parse("--out=1e3").text("out")).toBe("1e3");
    expect(parse("--out=a=b").text("out")).toBe("a=b");
  });

  test("stand anywhere among arguments; after -- all are arguments", () => {
    const { args } = parse("a", "--json", "b", "--out", "c", "--", "--json");
    expect(args).toEqual(["a", "b", "--json"]);
  });

  test.each([
    [["--jsn"], "unknown option --jsn. Did you mean --json?"],
    [["--nothing-like-it=3"], "unknown option --nothing-like-it."],
    [["-x"], "unknown option -x."],
    [["--out"], "--out needs a value"],
    [["--out="], "--out needs a value"],
    [["--json=yes"], "--json takes no value"],
  ])("%j are refused", (argv, message) => {
    expect(() => parse(...argv)).toThrow(expect.objectContaining({ code: "USAGE", message }));
  });

  test("are given once, but for those that add up", () => {
    const twice = parse("--set", "a=1", "--set", "b=2", "--seed", "1", "--seed", "2");
    expect(twice.list("set")).toEqual(["a=1", "b=2"]);
    expect(() => twice.text("seed")).toThrow("--seed is given 2 times");
  });

  test.each(["-1", "1.5", "1e3", "x", "99999999999999999999"])("%s is no seed", (text) => {
    expect(() => parse("--seed", text).integer("seed", 0)).toThrow(`--seed: expected an integer from 0, got ${text}`);
  });

  test.each([
    ["90s", 90],
    ["10m", 600],
    ["1h30m", 5400],
    ["0.5h", 1800],
  ])("%s is %d seconds", (text, seconds) => {
    expect(parse("--max-time", text).duration("max-time")).toBe(seconds * 1000);
  });

  test.each(["10", "m", "0s", "10 m", "-5m"])("%j is no time", (text) => {
    expect(() => parse(`--max-time=${text}`).duration("max-time")).toThrow("expected a time such as 90s");
  });
});

test.each(["4/4", "1", "a/b", "-1/2", "0/0"])("%s is no shard", (text) => {
  expect(() => shardOf(text)).toThrow("--shard: expected i/S");
});

describe("settings", () => {
  test("nest by dots; their values are JSON or text", () => {
    expect(settingsOf(["a.b=3", "a.c=x", "d=[1,2]", "e=true", "a.b=4", "f=a=b"])).toEqual({
      a: { b: 4, c: "x" },
      d: [1, 2],
      e: true,
      f: "a=b",
    });
  });

  test.each(["a", "=3", "a..b=1", "__proto__.x=1"])("%s is refused", (pair) => {
    expect(() => settingsOf([pair])).toThrow(expect.objectContaining({ code: "USAGE" }));
  });
});

test("the program's name is what can be typed again", () => {
  expect(programName("/home/me/dist/cli/main.js", "/home/me")).toBe("node dist/cli/main.js");
  expect(programName("/home/me/node_modules/.bin/subspan", "/home/me")).toBe("npx subspan");
  expect(programName("/usr/bin/subspan", "/home/me")).toBe("subspan");
});

test("a folder in a command to be typed is one word of a shell", () => {
  expect(["runs/a-1", "my runs/a", "it's"].map(shellWord)).toEqual(["runs/a-1", "'my runs/a'", "'it'\\''s'"]);
});

test.each([
  ["quik", "quick"],
  ["ebes", "ebse"],
  ["qui", "quick"],
  ["fast", undefined],
])("%s is taken for %s", (written, near) => {
  expect(nearestName(written, ["quick", "best", "paper", "ebse"])).toBe(near);
});
