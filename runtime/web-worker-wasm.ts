import * as runtime from "onnxruntime-web/wasm";
import { serveWorker } from "./web-worker.ts";

serveWorker(runtime);
