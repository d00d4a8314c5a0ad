import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { toyModel } from "../runtime/toy.ts";
import { buildServer } from "../serve/built.ts";

const { SUBSPAN_CLIENTS: python } = process.env;

test.skipIf(python === undefined)(
  "the clients of Triton and KServe understand the server, unchanged (test/interop/clients.sh)",
  async () => {
    const built = await buildServer();
    const server = await built.serve({ bundles: [toyModel()], port: 0, workers: 2 });
    const asking = promisify(execFile)(python as string, ["test/interop/check_clients.py", server.url, "toy"]);
    const said = await asking.catch((error: { stdout: string; stderr: string }) => error);
    await server.close();
    await built.remove();
    console.log(said.stdout);
    expect(said.stdout + said.stderr).toMatch(/^all is understood$/m);
  },
  120_000,
);
