import * as runtime from "onnxruntime-web/webgpu";
import { serveWorker } from "./web-worker.ts";

serveWorker(runtime);
