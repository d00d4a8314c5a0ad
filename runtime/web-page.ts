import type { OpenedEngine } from "./load.ts";
import type { EngineSetup } from "./remote.ts";
import type { WebImage } from "./web-bitmap.ts";
import { decodeImage } from "./web-image.ts";
import { webEngine } from "./web-session.ts";

/** Opens an engine in the page itself. A file of its own: most pages have a worker and never load it. */
export async function openInPage(setup: EngineSetup): Promise<Pick<OpenedEngine<WebImage>, "engine" | "decode">> {
  const webgpu = setup.device === "webgpu";
  const runtime = await (webgpu ? import("onnxruntime-web/webgpu") : import("onnxruntime-web/wasm"));
  const engine = webEngine(runtime, setup);
  await engine.open(setup.part);
  return { engine, decode: decodeImage };
}
