import { serveEngine } from "./remote.ts";
import { decodePortable } from "./web-image.ts";
import { type WebRuntime, webEngine } from "./web-session.ts";

/**
 * What both worker files do. ONNX Runtime starts its own threads from the file it stands in, which is the worker's where a
 * bundler joined them: those threads are its own.
 */
export function serveWorker(runtime: WebRuntime): void {
  if (self.name.startsWith("em-pthread")) return;
  serveEngine(
    {
      post: (message, transfer) => self.postMessage(message, { transfer: [...transfer] }),
      listen: (listener) => self.addEventListener("message", ({ data }) => listener(data)),
    },
    (setup) => webEngine(runtime, setup),
    decodePortable,
  );
}
