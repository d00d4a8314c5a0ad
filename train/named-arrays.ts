import type { Arrays } from "../models/index.ts";

export const startsWithAny = (name: string, prefixes: readonly string[]) =>
  prefixes.some((prefix) => name.startsWith(prefix));

export function filterArrays(arrays: Arrays, keep: (name: string) => boolean): Arrays {
  return Object.fromEntries(Object.entries(arrays).filter(([name]) => keep(name)));
}

export function shapes(arrays: Arrays): Record<string, readonly number[]> {
  return Object.fromEntries(Object.entries(arrays).map(([name, { shape }]) => [name, shape]));
}
