/** What an engine needs to run a bundle's graph, by path. */
export type TargetFiles = Readonly<Record<string, string | Uint8Array>>;

export interface TargetOptions {
  /** Where the cluster finds the models, for Kubernetes: what the storage initialiser of KServe takes, or a volume claim. */
  readonly storage: string;
  /** Of a container with subspan in it. */
  readonly image: string;
}
