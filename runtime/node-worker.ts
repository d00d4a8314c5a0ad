/** The worker thread of one clusterer. */
import { parentPort } from "node:worker_threads";
import { decodeImage, type EncodedImage } from "./node-image.ts";
import { nodeEngine } from "./node-session.ts";
import { serveEngine } from "./remote.ts";

const port = parentPort!;
serveEngine<EncodedImage>(
  {
    post: (message, transfer) => port.postMessage(message, transfer),
    listen: (listener) => port.on("message", listener),
  },
  (setup) => nodeEngine(setup),
  decodeImage,
);
