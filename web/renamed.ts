import { zipSync } from "fflate";
import { MODEL, STRING_ENTRY } from "../runtime/onnx-schema.ts";
import { type Bundle, checkGraph, type Manifest, METADATA_KEY, sha256 } from "../runtime/web.ts";

/**
 * A bundle with names for its clusters, as one .subspan file: the names stand in the manifest and in the manifest inside
 * every graph, and sizes and hashes are those of the new files. Nothing else changes.
 *
 * @param names - of all K clusters.
 */
export async function renamedBundle(bundle: Bundle, names: readonly string[]): Promise<Uint8Array<ArrayBuffer>> {
  const paths = bundle.files.length === 0 ? ["model.onnx"] : bundle.files.map(({ path }) => path);
  const files = await Promise.all(
    paths.map(async (path) => {
      const bytes = bundle.files.length === 0 ? bundle.model : await bundle.read(path);
      return [path, path.endsWith(".onnx") ? renamedGraph(bytes, names) : bytes] as const;
    }),
  );
  const listed = files.map(async ([path, bytes]) => ({ path, size: bytes.length, sha256: await sha256(bytes) }));
  const manifest: Manifest = { ...bundle.manifest, clusterNames: names, files: await Promise.all(listed) };
  const all = [["manifest.json", utf8(`${JSON.stringify(manifest, null, 2)}\n`)] as const, ...files];
  // The earliest time a zip can tell: equal content, equal bytes.
  const options = { level: 0, mtime: new Date(1980, 0, 1) } as const;
  return zipSync(Object.fromEntries(all.map(([path, bytes]) => [path, [bytes, options]])));
}

/** A graph with the names in its own manifest; a part without a manifest as it is. */
function renamedGraph(model: Uint8Array, names: readonly string[]): Uint8Array {
  const text = checkGraph(model).metadata[METADATA_KEY];
  if (text === undefined) return model;
  return withMetadata(model, METADATA_KEY, JSON.stringify({ ...JSON.parse(text), clusterNames: names }));
}

/** A checked model's bytes, one of its metadata entries replaced: the old is left out, the new one comes last. */
export function withMetadata(model: Uint8Array, key: string, value: string): Uint8Array {
  const begins = field(STRING_ENTRY.key, utf8(key));
  const kept: Uint8Array[] = [];
  for (let at = 0; at < model.length; ) {
    const tag = varint(model, at);
    const isBytes = (tag.value & 7) === 2;
    const length = varint(model, tag.end);
    const end = isBytes ? length.end + length.value : length.end;
    const isEntry = tag.value >>> 3 === MODEL.metadataProps;
    if (!isEntry || !startsWith(model.subarray(length.end, end), begins)) kept.push(model.subarray(at, end));
    at = end;
  }
  const entry = joined([begins, field(STRING_ENTRY.value, utf8(value))]);
  return joined([...kept, field(MODEL.metadataProps, entry)]);
}

/** A length-delimited protobuf field. */
function field(number: number, payload: Uint8Array): Uint8Array {
  return joined([Uint8Array.from([...varintBytes(number * 8 + 2), ...varintBytes(payload.length)]), payload]);
}

function varint(bytes: Uint8Array, start: number): { readonly value: number; readonly end: number } {
  let value = 0;
  let end = start;
  for (let scale = 1; ; scale *= 128) {
    const byte = bytes[end++]!;
    value += (byte & 127) * scale;
    if (byte < 128) return { value, end };
  }
}

function varintBytes(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...varintBytes(Math.floor(value / 128))];
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

const startsWith = (bytes: Uint8Array, prefix: Uint8Array) => prefix.every((byte, i) => bytes[i] === byte);
const utf8 = (text: string) => new TextEncoder().encode(text);
