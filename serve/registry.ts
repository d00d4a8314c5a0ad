import { type Clusterer, type EncodedImage, SubspanError } from "../runtime/node.ts";
import { HttpProblem } from "./problem.ts";

/** What the server needs of a clusterer. */
export type ServedClusterer = Pick<Clusterer<EncodedImage>, "info" | "assign" | "dispose">;

/** The one version of each model there is; paths may name it or leave it out. */
export const VERSION = "1";

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/** The clusterers served, by name. A name is a key and nothing else: no lookup ever becomes a path. */
export class Registry {
  readonly #byName = new Map<string, ServedClusterer>();

  /** @throws {SubspanError} USAGE for none at all, a name that cannot stand in a path, or one name twice. */
  constructor(clusterers: Iterable<ServedClusterer>) {
    for (const clusterer of clusterers) {
      const { name } = clusterer.info;
      if (!NAME.test(name)) throw usage(`letters, digits, ".", "_" and "-" in a name, got ${JSON.stringify(name)}`);
      if (this.#byName.has(name)) throw usage(`every name once, got two called "${name}"`);
      this.#byName.set(name, clusterer);
    }
    if (this.#byName.size === 0) throw usage("at least one, got none");
  }

  /** @throws {HttpProblem} 404 for a name or version that is not served. */
  get(name: string, version = VERSION): ServedClusterer {
    const clusterer = NAME.test(name) ? this.#byName.get(name) : undefined;
    if (clusterer === undefined)
      throw new HttpProblem(404, `no model ${JSON.stringify(name)}; there is ${[...this.#byName.keys()].join(", ")}`);
    if (version !== VERSION)
      throw new HttpProblem(404, `model "${name}": no version ${JSON.stringify(version)}; there is ${VERSION}`);
    return clusterer;
  }
}

function usage(message: string): SubspanError {
  return new SubspanError("USAGE", `models to serve: expected ${message}`);
}
