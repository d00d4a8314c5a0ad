export { adaptiveNeighbourAffinity, type SelfTunedAffinity, selfTunedAffinity } from "./affinity.ts";
export { anchorCentres, anchorPicks } from "./anchors.ts";
export {
  type AnchorWeights,
  type AnchorWeightsOptions,
  anchorWeights,
  type BipartiteClustering,
  bipartiteClustering,
  walkedAffinity,
} from "./bipartite.ts";
export {
  type AffinityClustering,
  affinityClustering,
  type SpectralClustering,
  type SpectralClusteringOptions,
  spectralClustering,
} from "./clustering.ts";
export {
  type DenseAffinityClustering,
  type DenseClusteringOptions,
  denseAffinityClustering,
} from "./dense-clustering.ts";
export { type DiscretiseOptions, type DiscretiseResult, discretise } from "./discretise.ts";
export { type EigenOptions, type Eigenpairs, leadingEigenpairs } from "./eigen.ts";
export { type ClusterCandidate, clearestFirst, relativeEigengaps } from "./eigengap.ts";
export { type KMeansOptions, type KMeansResult, kMeans } from "./kmeans.ts";
export { laplacian, type NormalisedAffinity, normalisedAffinity, type SymmetricOperator } from "./laplacian.ts";
export { type NeighbourOptions, type Neighbours, nearestNeighbours } from "./neighbours.ts";
export { type Partition, type PartitionOptions, unitRows } from "./partition.ts";
export {
  type AffinityFactors,
  type PostProcessing,
  plainAffinity,
  postProcessedAffinity,
  type RefinedAffinity,
  type Refinement,
  refinedAffinity,
} from "./refined-affinity.ts";
export { type RidgeSelfExpression, ridgeSelfExpression, withoutItself } from "./ridge.ts";
export { rowSums, type SparseSymmetric, sparseFromDense } from "./sparse.ts";
