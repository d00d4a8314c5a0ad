export { adaptiveNeighbourAffinity, type SelfTunedAffinity, selfTunedAffinity } from "./affinity.ts";
export { anchorCentres, anchorPicks } from "./anchors.ts";
export { type Partition, type PartitionOptions, unitRows } from "./balance.ts";
export {
  type AnchorWeights,
  type AnchorWeightsOptions,
  anchorWeights,
  type BipartiteClustering,
  bipartiteClustering,
} from "./bipartite.ts";
export {
  type AffinityClustering,
  affinityClustering,
  type SpectralClustering,
  type SpectralClusteringOptions,
  spectralClustering,
} from "./clustering.ts";
export { type EigenOptions, type Eigenpairs, leadingEigenpairs } from "./eigen.ts";
export { type KMeansOptions, type KMeansResult, kMeans } from "./kmeans.ts";
export { laplacian, type NormalisedAffinity, normalisedAffinity, type SymmetricOperator } from "./laplacian.ts";
export { type NeighbourOptions, type Neighbours, nearestNeighbours } from "./neighbours.ts";
export { rowSums, type SparseSymmetric, sparseFromDense } from "./sparse.ts";
