import { dscdan } from "../../models/index.ts";
import { phaseWorkload } from "./phase.ts";
import type { Decoder, Workload } from "./workload.ts";

/** The dual autoencoder of dscdan alone, latents of 32: relative reconstruction, every other term switched off. */
export function autoencoder(decoder: Decoder, batch: number, side: number): Workload {
  const config = dscdan.schema.parse({
    clusters: 10,
    latent: 32,
    decoder,
    augmentation: "none",
    pretraining: { batch, reconstruction: 1, globalInformation: 0 },
    joint: { rounds: 0 },
  });
  return phaseWorkload(dscdan, config, { kind: "images", shape: [side, side, 1] }, batch, ["encoder.", "decoder."]);
}
