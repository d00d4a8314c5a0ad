import type { Bundle } from "../../runtime/bundle.ts";
import { SubspanError } from "../../runtime/errors.ts";
import type { TargetFiles, TargetOptions } from "./target.ts";
import { triton } from "./triton.ts";

/** A name as Kubernetes takes them (RFC 1123, lower case, at most 63 characters) and KServe: it begins with a letter. */
function dnsName(name: string): string {
  return (
    name
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, "-")
      .replace(/^[^a-z]+/, "")
      .slice(0, 56)
      .replace(/-+$/, "") || "clusterer"
  );
}

/** The bundle's folder, unless it is said. */
const stored = ({ manifest }: Bundle, { storage }: TargetOptions) => storage ?? `pvc://models/${manifest.name}`;

/** InferenceServices for both of KServe's ways: its own Triton runtime, and subspan's server as a runtime. */
export function kserve(bundle: Bundle, options: TargetOptions): TargetFiles {
  const name = dnsName(bundle.manifest.name);
  const { image } = options;
  const storage = stored(bundle, options);
  const repository = Object.entries(triton(bundle)).map(([path, content]) => [`triton/${path}`, content]);
  return {
    ...Object.fromEntries(repository),
    "triton-inference-service.yaml": `# storageUri holds what is in triton/ beside this file.
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: ${name}-triton
spec:
  predictor:
    model:
      modelFormat:
        name: onnx
      protocolVersion: v2
      storageUri: ${JSON.stringify(`${storage}/triton`)}
      resources:
        requests:
          cpu: "1"
          memory: 1Gi
        limits:
          cpu: "2"
          memory: 2Gi
`,
    "subspan-runtime.yaml": `apiVersion: serving.kserve.io/v1alpha1
kind: ServingRuntime
metadata:
  name: subspan
  annotations:
    prometheus.io/port: "8080"
    prometheus.io/path: /metrics
spec:
  supportedModelFormats:
    - name: subspan
      version: "1"
      autoSelect: true
  protocolVersions:
    - v2
  containers:
    - name: kserve-container
      image: ${JSON.stringify(image)}
      args:
        - serve
        - /mnt/models
        - --host=0.0.0.0
        - --port=8080
        - --json
      ports:
        - containerPort: 8080
          protocol: TCP
      readinessProbe:
        httpGet:
          path: /v2/health/ready
          port: 8080
      livenessProbe:
        httpGet:
          path: /v2/health/live
          port: 8080
      resources:
        requests:
          cpu: "1"
          memory: 1Gi
        limits:
          cpu: "2"
          memory: 2Gi
`,
    "subspan-inference-service.yaml": `# storageUri holds the bundle's folder.
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: ${name}
spec:
  predictor:
    model:
      modelFormat:
        name: subspan
        version: "1"
      protocolVersion: v2
      storageUri: ${JSON.stringify(storage)}
`,
  };
}

/** Shards of an Indexed Job, and how many run at once. */
const SHARDS = 16;
const AT_ONCE = 4;

/**
 * A Job that assigns a source in shards, each pod one. A shard that fails is tried again alone; one that is there is left.
 *
 * @throws {SubspanError} USAGE for a storage that is no volume claim: pods mount it.
 */
export function job(bundle: Bundle, options: TargetOptions): TargetFiles {
  const name = dnsName(bundle.manifest.name);
  const { image } = options;
  const storage = stored(bundle, options);
  const [, claim = "", folder] = /^pvc:\/\/([a-z0-9][a-z0-9.-]*)\/*(.*?)\/*$/.exec(storage) ?? [];
  if (folder === undefined)
    throw new SubspanError("USAGE", `--storage: expected a volume claim such as pvc://models/digits, got ${storage}`);
  const path = ["/models", folder].filter((part) => part !== "").join("/");
  return {
    "job.yaml": `# Claims: "${claim}" holds the bundle in ${folder || "its root"}, "data" the source x.npz, and takes the shards' files. When the Job is
# complete, join them: subspan merge /data/labels-*.csv --out labels.csv
apiVersion: batch/v1
kind: Job
metadata:
  name: ${name}-assign
spec:
  completionMode: Indexed
  completions: ${SHARDS}
  parallelism: ${AT_ONCE}
  backoffLimitPerIndex: 3
  maxFailedIndexes: ${SHARDS}
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: assign
          image: ${JSON.stringify(image)}
          args:
            - assign
            - ${JSON.stringify(path)}
            - /data/x.npz
            - --device=cpu
            - --shard=$(JOB_COMPLETION_INDEX)/${SHARDS}
            - --out=/data/labels-$(JOB_COMPLETION_INDEX).csv
          env:
            - name: JOB_COMPLETION_INDEX
              valueFrom:
                fieldRef:
                  fieldPath: metadata.annotations['batch.kubernetes.io/job-completion-index']
          volumeMounts:
            - name: models
              mountPath: /models
              readOnly: true
            - name: data
              mountPath: /data
          resources:
            requests:
              cpu: "1"
              memory: 1Gi
      volumes:
        - name: models
          persistentVolumeClaim:
            claimName: ${JSON.stringify(claim)}
        - name: data
          persistentVolumeClaim:
            claimName: data
`,
  };
}
