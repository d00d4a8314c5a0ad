import { abortable, checkAborted } from "./abort.ts";
import { type Bundle, type ListedBundle, openGraph, type Precision, type ReadOptions } from "./bundle.ts";
import { Clusterer, DEFAULT_OUTPUTS, type Placement } from "./clusterer.ts";
import { type Device, type DeviceRequest, walkLadder } from "./devices.ts";
import type { Engine } from "./engine.ts";
import type { Decoder } from "./input.ts";
import { partOf } from "./part.ts";
import type { EngineSetup } from "./remote.ts";
import { Sessions } from "./sessions.ts";

/** How a clusterer is loaded, in Node and in browsers. */
export interface CommonLoadOptions extends Omit<ReadOptions, "dtype"> {
  /** `auto` unless said: the best that works. A named device falls back to those after it. */
  readonly device?: DeviceRequest;
  /** A named device that fails is an error, not a fallback. */
  readonly strict?: boolean;
  /**
   * Which of the bundle's graphs: fp32 unless said. `auto` is fp16 on a GPU that computes in it, and in browsers, if the
   * bundle has one that agrees with fp32 in as many labels as it must; else fp32.
   */
  readonly dtype?: Precision | "auto";
}

/** What opening a part of a graph on one device gives. */
export interface OpenedEngine<Encoded> extends Pick<Placement, "threads" | "worker" | "notes"> {
  readonly engine: Engine;
  readonly decode: Decoder<Encoded>;
}

/** The devices of Node or of browsers. */
export interface Platform<Encoded> {
  /** Best first. */
  readonly ladder: readonly Device[];
  /** @returns whether half precision is worth it there. @throws why the device cannot be used. */
  probe(device: Device): Promise<boolean>;
  open(setup: Pick<EngineSetup, "device" | "part" | "manifest">): Promise<OpenedEngine<Encoded>>;
}

/** Opens a bundle on the best device that works. Its engine has run once when this answers. */
export async function openClusterer<Encoded>(
  listed: ListedBundle,
  options: CommonLoadOptions,
  { ladder, probe, open }: Platform<Encoded>,
): Promise<Clusterer<Encoded>> {
  const { device: requested = "auto", strict = false, dtype, signal, onProgress } = options;
  let bundle: ListedBundle | Bundle = listed;
  const { device, opened, failures } = await walkLadder(requested, strict, ladder, async (rung) => {
    const half = await probe(rung);
    bundle = await openGraph(bundle, dtype === "auto" ? await variant(bundle, half) : dtype);
    const part = await partOf(bundle as Bundle, DEFAULT_OUTPUTS);
    checkAborted(signal);
    const opening = open({ device: rung, part, manifest: bundle.manifest });
    const opened = await abortable(opening, signal).catch((error) => {
      if (signal?.aborted) opening.then(({ engine }) => engine.release()).catch(() => {}); // nobody will use it
      throw error;
    });
    return { ...opened, part };
  });
  const { engine, decode, part, ...placement } = opened;
  onProgress?.({ status: "ready", name: bundle.manifest.name });
  const sessions = new Sessions(engine, bundle as Bundle, part);
  return new Clusterer(sessions, bundle as Bundle, { device, requested, failures, ...placement }, decode);
}

async function variant(bundle: ListedBundle, half: boolean): Promise<Precision> {
  if (!half) return "fp32";
  const { bestVariant } = await import("./variant.ts"); // for those who ask for it
  return bestVariant(bundle);
}
