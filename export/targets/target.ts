/** What an engine needs to run a bundle's graph, by path. */
export type TargetFiles = Readonly<Record<string, string | Uint8Array>>;

export interface TargetOptions {
  /** The bundle's folder in the cluster, for Kubernetes: what the storage initialiser of KServe takes, a volume claim for a Job; pvc://models/NAME unless said. */
  readonly storage?: string | undefined;
  /** Of a container with subspan in it. */
  readonly image: string;
}
