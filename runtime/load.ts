import { abortable, checkAborted } from "./abort.ts";
import type { Bundle, ReadOptions } from "./bundle.ts";
import { Clusterer, type Placement } from "./clusterer.ts";
import { type Device, type DeviceRequest, walkLadder } from "./devices.ts";
import type { Engine } from "./engine.ts";
import type { Decoder } from "./input.ts";

/** How a clusterer is loaded, in Node and in browsers. */
export interface CommonLoadOptions extends ReadOptions {
  /** `auto` unless said: the best that works. A named device falls back to those after it. */
  readonly device?: DeviceRequest;
  /** A named device that fails is an error, not a fallback. */
  readonly strict?: boolean;
}

/** What opening on one device gives. */
export interface OpenedEngine<Encoded> extends Pick<Placement, "threads" | "worker" | "notes"> {
  readonly engine: Engine;
  readonly decode: Decoder<Encoded>;
}

/** Opens a checked bundle on the best device that works. Its engine has run once when this answers. */
export async function openClusterer<Encoded>(
  bundle: Bundle,
  options: CommonLoadOptions,
  ladder: readonly Device[],
  open: (device: Device) => Promise<OpenedEngine<Encoded>>,
): Promise<Clusterer<Encoded>> {
  const { device: requested = "auto", strict = false, signal, onProgress } = options;
  const { device, opened, failures } = await walkLadder(requested, strict, ladder, (rung) => {
    checkAborted(signal);
    const opening = open(rung);
    return abortable(opening, signal).catch((error) => {
      if (signal?.aborted) opening.then(({ engine }) => engine.release()).catch(() => {}); // nobody will use it
      throw error;
    });
  });
  const { engine, decode, ...placement } = opened;
  onProgress?.({ status: "ready", name: bundle.manifest.name });
  return new Clusterer(engine, bundle, { device, requested, failures, ...placement }, decode);
}
