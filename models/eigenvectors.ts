import { z } from "zod";

/** How many eigenvectors a clustering is read from, as a hyperparameter: see `partition` of train/spectral. */
export const eigenvectors = z
  .union([z.enum(["balance", "diffusion", "clusters"]), z.int().min(1)])
  .describe(
    "how many: balance tries K to K + 4 and keeps the most even clusters; diffusion takes 2 K, each weighed by a power of its eigenvalue; clusters takes K",
  );
export type EigenvectorRule = z.infer<typeof eigenvectors>;
