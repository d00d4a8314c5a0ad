import type { Bundle } from "../runtime/web.ts";

/** What the page shows of `preview.json`; all of it may be missing. */
export interface Preview {
  readonly points?: { readonly x: readonly number[]; readonly y: readonly number[]; readonly label: readonly number[] };
  readonly projection?: { readonly mean: readonly number[]; readonly axes: readonly (readonly number[])[] };
  /** Typical samples of each cluster as data URLs, the most typical first. */
  readonly typical: readonly (readonly string[])[];
}

/** Reads a bundle's pictures. A bundle without has none; one with damaged ones is refused by its hash. */
export async function readPreview({
  files,
  read,
  manifest,
}: Pick<Bundle, "files" | "read" | "manifest">): Promise<Preview> {
  const none: Preview = { typical: Array.from({ length: manifest.clusters }, () => []) };
  if (!files.some(({ path }) => path === "preview.json")) return none;
  const json: unknown = JSON.parse(new TextDecoder().decode(await read("preview.json")));
  return isObject(json)
    ? { ...none, ...pointsOf(json), ...projectionOf(json), typical: typicalOf(json, manifest.clusters) }
    : none;
}

function pointsOf({ points }: Record<string, unknown>): Pick<Preview, "points"> {
  if (!isObject(points)) return {};
  const { x, y, label } = points;
  return isNumbers(x) && isNumbers(y, x.length) && isNumbers(label, x.length) ? { points: { x, y, label } } : {};
}

function projectionOf({ projection }: Record<string, unknown>): Pick<Preview, "projection"> {
  if (!isObject(projection)) return {};
  const { mean, axes } = projection;
  if (!isNumbers(mean) || !Array.isArray(axes) || axes.length !== 2) return {};
  return axes.every((axis) => isNumbers(axis, mean.length)) ? { projection: { mean, axes } } : {};
}

function typicalOf({ thumbnails, more }: Record<string, unknown>, clusters: number): string[][] {
  const at = (list: unknown, cluster: number) => (Array.isArray(list) ? (list[cluster] as unknown) : undefined);
  return Array.from({ length: clusters }, (_, i) => {
    const others = at(more, i);
    return [at(thumbnails, i), ...(Array.isArray(others) ? others : [])].flatMap(dataUrl);
  });
}

function dataUrl(thumbnail: unknown): string[] {
  if (!isObject(thumbnail) || typeof thumbnail.png !== "string" || !/^[A-Za-z0-9+/=]+$/.test(thumbnail.png)) return [];
  return [`data:image/png;base64,${thumbnail.png}`];
}

/** Where an embedding lands in the picture; undefined for a bundle that does not say. */
export function placed({ projection }: Preview, embedding: ArrayLike<number>): readonly [number, number] | undefined {
  if (projection === undefined || projection.mean.length !== embedding.length) return undefined;
  const along = (axis: readonly number[]) =>
    projection.mean.reduce((sum, mean, j) => sum + (embedding[j]! - mean) * axis[j]!, 0);
  return [along(projection.axes[0]!), along(projection.axes[1]!)];
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;
const isNumbers = (value: unknown, length?: number): value is number[] =>
  Array.isArray(value) && value.every(Number.isFinite) && (length === undefined || value.length === length);
