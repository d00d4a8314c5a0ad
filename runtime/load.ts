import { abortable, checkAborted } from "./abort.ts";
import type { Bundle, ReadOptions } from "./bundle.ts";
import { Clusterer, DEFAULT_OUTPUTS, type Placement } from "./clusterer.ts";
import { type Device, type DeviceRequest, walkLadder } from "./devices.ts";
import type { Engine } from "./engine.ts";
import type { Decoder } from "./input.ts";
import { type Part, partOf } from "./part.ts";
import { Sessions } from "./sessions.ts";

/** How a clusterer is loaded, in Node and in browsers. */
export interface CommonLoadOptions extends ReadOptions {
  /** `auto` unless said: the best that works. A named device falls back to those after it. */
  readonly device?: DeviceRequest;
  /** A named device that fails is an error, not a fallback. */
  readonly strict?: boolean;
}

/** What opening a part of a graph on one device gives. */
export interface OpenedEngine<Encoded> extends Pick<Placement, "threads" | "worker" | "notes"> {
  readonly engine: Engine;
  readonly decode: Decoder<Encoded>;
}

/** Opens a checked bundle on the best device that works. Its engine has run once when this answers. */
export async function openClusterer<Encoded>(
  bundle: Bundle,
  options: CommonLoadOptions,
  ladder: readonly Device[],
  open: (device: Device, part: Part) => Promise<OpenedEngine<Encoded>>,
): Promise<Clusterer<Encoded>> {
  const { device: requested = "auto", strict = false, signal, onProgress } = options;
  const part = await partOf(bundle, DEFAULT_OUTPUTS);
  const { device, opened, failures } = await walkLadder(requested, strict, ladder, (rung) => {
    checkAborted(signal);
    const opening = open(rung, part);
    return abortable(opening, signal).catch((error) => {
      if (signal?.aborted) opening.then(({ engine }) => engine.release()).catch(() => {}); // nobody will use it
      throw error;
    });
  });
  const { engine, decode, ...placement } = opened;
  onProgress?.({ status: "ready", name: bundle.manifest.name });
  const sessions = new Sessions(engine, bundle, part);
  return new Clusterer(sessions, bundle, { device, requested, failures, ...placement }, decode);
}
