import { createRequire } from "node:module";

/** This package's version. */
export function packageVersion(): string {
  return (createRequire(import.meta.url)("subspan/package.json") as { readonly version: string }).version;
}
