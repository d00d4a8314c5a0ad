import { type Bundle, type Precision, readBundle, SubspanError, sha256 } from "../../runtime/node.ts";
import type { SharedBundle } from "./messages.ts";

/**
 * Reads a bundle with every file its manifest names, each checked: what is served later is what was checked now.
 *
 * @throws {SubspanError} as `readBundle`.
 */
export async function readShared(source: string | Uint8Array, precision: Precision): Promise<SharedBundle> {
  return shared(await readBundle(source, { dtype: precision }));
}

/** A bundle in memory that all threads see. A bare graph gets the manifest entry of a bundle with nothing else. */
export async function shared(bundle: Bundle): Promise<SharedBundle> {
  const { manifest, graph } = bundle;
  const model = sharedBytes(bundle.model);
  if (bundle.files.length === 0) {
    const entry = { path: "model.onnx", size: model.length, sha256: await sha256(bundle.model), bytes: model };
    return { manifest, graph, model, files: [entry] };
  }
  const files = [];
  for (const file of bundle.files) files.push({ ...file, bytes: sharedBytes(await bundle.read(file.path)) });
  return { manifest, graph, model, files };
}

/** The bundle as a worker opens it: ONNX Runtime takes no shared memory, so the graph is copied. */
export function ownBundle({ manifest, graph, model, files }: SharedBundle): Bundle {
  const read = async (path: string) => {
    const file = files.find((one) => one.path === path);
    if (file === undefined) throw new SubspanError("BUNDLE_MISSING", `the manifest names no ${path}`);
    return Uint8Array.from(file.bytes);
  };
  return { origin: manifest.name, manifest, graph, model: Uint8Array.from(model), files, read };
}

function sharedBytes(bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(new SharedArrayBuffer(bytes.length));
  copy.set(bytes);
  return copy;
}
