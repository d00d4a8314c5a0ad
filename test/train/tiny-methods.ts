/** Settings with which each method goes through all its phases in about a second, on images of 8 x 8 pixels. */
export const TINY_METHODS = {
  dscdan: {
    clusters: 3,
    latent: 6,
    pretraining: { epochs: 2, batch: 30 },
    joint: { rounds: 1, epochs: 1, batch: 30 },
  },
  ebse: {
    clusters: 3,
    latent: 6,
    width: 4,
    energy: { hidden: [8], width: 8 },
    queue: 30,
    warmup: { epochs: 2, batch: 30 },
    head: { epochs: 2, batch: 30 },
    joint: { rounds: 1, epochs: 2, batch: 30 },
    anchors: 20,
    nonzeros: 5,
  },
  udll: {
    clusters: 3,
    layers: [{ kernel: 3, channels: 4 }],
    pretraining: { epochs: 3, batch: 30 },
    fineTuning: { steps: 4, first: 2, every: 2 },
    affinity: { rank: 3, kept: 0.3, power: 4 },
    ridge: 1,
  },
} as const;
