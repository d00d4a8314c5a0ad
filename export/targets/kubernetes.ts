import type { Bundle } from "../../runtime/bundle.ts";
import type { TargetFiles, TargetOptions } from "./target.ts";
import { triton } from "./triton.ts";

/** A name as Kubernetes takes them: RFC 1123, lower case, at most 63 characters. */
function dnsName(name: string): string {
  return (
    name
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, "-")
      .replace(/^-+/, "")
      .slice(0, 56)
      .replace(/-+$/, "") || "clusterer"
  );
}

/** InferenceServices for both of KServe's ways: its own Triton runtime, and subspan's server as a runtime. */
export function kserve(bundle: Bundle, { storage, image }: TargetOptions): TargetFiles {
  const name = dnsName(bundle.manifest.name);
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

/** A Job that assigns a source in shards, each pod one. A shard that fails is tried again alone; one that is there is left. */
export function job({ manifest }: Bundle, { storage, image }: TargetOptions): TargetFiles {
  const name = dnsName(manifest.name);
  return {
    "job.yaml": `# Claims: "models" holds the bundle in ${manifest.name}/, "data" the source x.npz, and takes the shards' files. When the Job is
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
            - ${JSON.stringify(`/models/${manifest.name}`)}
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
            claimName: ${JSON.stringify(storage.replace(/^pvc:\/\//, "").split("/")[0])}
        - name: data
          persistentVolumeClaim:
            claimName: data
`,
  };
}
