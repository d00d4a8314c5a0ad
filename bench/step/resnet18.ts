import { ebse } from "../../models/index.ts";
import { phaseWorkload } from "./phase.ts";
import type { Workload } from "./workload.ts";

/** ebse's warm-up on colour images: InfoNCE over two views of 32 x 32 x 3 through a ResNet-18 as wide as published, 64. */
export function resnet18(batch: number): Workload {
  const config = ebse.schema.parse({
    clusters: 10,
    encoder: "resnet18",
    latent: 128,
    width: 64,
    augmentation: "none",
    warmup: { batch },
  });
  return phaseWorkload(ebse, config, { kind: "images", shape: [32, 32, 3] }, batch, ["encoder."]);
}
