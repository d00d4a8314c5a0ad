import { type Precision, SubspanError } from "../../runtime/node.ts";
import { HttpProblem } from "../problem.ts";
import { Statistics } from "../statistics.ts";
import type { Opened, SharedBundle } from "../workers/messages.ts";
import type { Pool } from "../workers/pool.ts";
import { shared } from "../workers/shared-bundle.ts";
import { type FoundVersion, findVersions, NAME, type Source, VERSION } from "./sources.ts";

/** A version of a model that every worker has open. */
export interface ServedVersion {
  readonly id: number;
  readonly name: string;
  readonly version: string;
  readonly bundle: SharedBundle;
  readonly opened: Opened;
  readonly statistics: Statistics;
  readonly fingerprint: string | undefined;
}

/** A row of the repository's index. */
export interface IndexRow {
  readonly name: string;
  readonly version?: string;
  readonly state: "READY" | "UNAVAILABLE";
  readonly reason: string;
}

export interface RepositoryEvents {
  onLoad(version: ServedVersion): void;
  /** What was not loaded, and why. An older state of it, if there is one, goes on. */
  onRefused(name: string, version: string, reason: string): void;
  onUnload(version: ServedVersion): void;
}

interface Refusal {
  readonly fingerprint: string | undefined;
  readonly reason: string;
}

interface Model {
  readonly name: string;
  readonly source: Source;
  readonly versions: Map<string, ServedVersion>;
  readonly refused: Map<string, Refusal>;
  labels: ReadonlyMap<string, string>;
  unloaded: boolean;
}

/** What names a source that has not said its name. */
const pathOr = (source: Source) => (typeof source === "string" || source instanceof URL ? String(source) : "");

/** In the place of a fingerprint, which is hexadecimal. */
const GONE = "gone";

const asNumber = ({ version }: ServedVersion) => BigInt(version);

/**
 * The models served, by name and version. A name is a key and nothing else: no lookup ever becomes a path. A version is
 * swapped in one step once all workers have the new one open; requests end on what they began with.
 */
export class Repository {
  readonly #pool: Pool;
  readonly #sources: readonly Source[];
  readonly #precision: Precision;
  readonly #events: RepositoryEvents;
  readonly #models = new Map<string, Model>();
  /** Requests under way by version, and versions to close when theirs have ended. */
  readonly #users = new Map<ServedVersion, number>();
  readonly #retired = new Set<ServedVersion>();
  /** What a look at the files found last time: what still changes is not read yet. */
  readonly #seen = new Map<string, string | undefined>();
  readonly #complaints = new Map<Source, string>();
  #ids = 0;
  #work: Promise<unknown> = Promise.resolve();

  constructor(sources: readonly Source[], precision: Precision, pool: Pool, events: RepositoryEvents) {
    this.#sources = sources;
    this.#precision = precision;
    this.#pool = pool;
    this.#events = events;
  }

  /**
   * Loads all there is. A version that cannot be loaded is told and left out, if its model has another.
   *
   * @throws {SubspanError} USAGE for nothing to serve, a name that cannot stand in a path, or one that two sources
   *   have; INTERRUPTED, between two versions; what loading threw for a model without any version.
   */
  async start(signal?: AbortSignal): Promise<void> {
    if (this.#sources.length === 0) throw usage("at least one, got none");
    for (const source of this.#sources) await this.#load(source, { firstTime: true, ...(signal && { signal }) });
    checkGoesOn(signal);
  }

  /** Of models that have a version to serve. */
  get names(): readonly string[] {
    return [...this.#models.values()].filter(({ versions }) => versions.size > 0).map(({ name }) => name);
  }

  get versions(): readonly ServedVersion[] {
    return [...this.#models.values()].flatMap(({ versions }) => [...versions.values()]);
  }

  /**
   * The newest version of a model, or the one asked for by number or label.
   *
   * @throws {HttpProblem} 404 for what is not served, 503 for a model that was unloaded.
   */
  get(name: string, version?: string, label?: string): ServedVersion {
    const model = this.#model(name);
    if (model.versions.size === 0) throw new HttpProblem(503, `model "${name}" is not loaded`);
    const wanted = label === undefined ? version : model.labels.get(NAME.test(label) ? label : "");
    const served = [...model.versions.values()];
    if (wanted === undefined && label === undefined)
      return served.reduce((newest, other) => (asNumber(other) > asNumber(newest) ? other : newest));
    const found = wanted !== undefined && VERSION.test(wanted) ? model.versions.get(wanted) : undefined;
    if (found !== undefined) return found;
    if (wanted !== undefined && label !== undefined) {
      const numbers = [...model.versions.keys()].join(", ");
      throw new HttpProblem(404, `model "${name}": label "${label}" is of version ${wanted}; there is ${numbers}`);
    }
    const asked = label === undefined ? `version ${JSON.stringify(version)}` : `label ${JSON.stringify(label)}`;
    const there = label === undefined ? [...model.versions.keys()] : [...model.labels.keys()];
    throw new HttpProblem(404, `model "${name}": no ${asked}; there is ${there.join(", ") || "none"}`);
  }

  /** The numbers of the versions of a model that are served. */
  versionsOf(name: string): readonly string[] {
    return [...this.#model(name).versions.values()]
      .sort((a, b) => (asNumber(a) < asNumber(b) ? -1 : 1))
      .map(({ version }) => version);
  }

  /** Marks a request as under way on a version, until what this answers is called. */
  use(version: ServedVersion): () => void {
    this.#users.set(version, (this.#users.get(version) ?? 0) + 1);
    return () => {
      const left = this.#users.get(version)! - 1;
      if (left > 0) this.#users.set(version, left);
      else {
        this.#users.delete(version);
        if (this.#retired.delete(version)) void this.#pool.close(version.id);
      }
    };
  }

  index(): readonly IndexRow[] {
    return [...this.#models.values()].flatMap(({ name, versions, refused, unloaded }) => {
      const numbers = [...new Set([...versions.keys(), ...refused.keys()])];
      const rows = numbers.map((version): IndexRow => {
        const state = versions.has(version) ? "READY" : "UNAVAILABLE";
        const why = refused.get(version)?.reason;
        return { name, version, state, reason: why === undefined ? "" : `not loaded: ${why}` };
      });
      return unloaded || rows.length === 0 ? [{ name, state: "UNAVAILABLE", reason: "unloaded" }] : rows;
    });
  }

  /**
   * Loads what is new or changed of a model, and unloads what is gone.
   *
   * @throws {HttpProblem} 404 for a model no source has, 400 for a version that was not loaded; the others are.
   */
  load(name: string): Promise<void> {
    return this.#exclusively(async () => {
      const known = NAME.test(name) ? this.#models.get(name) : undefined;
      for (const source of known === undefined ? this.#sources : [known.source])
        await this.#load(source, { only: name, again: true });
      const model = this.#model(name);
      const [refused] = model.refused;
      if (refused === undefined) return;
      const on = model.versions.has(refused[0]) ? "; what was loaded before goes on" : "";
      throw new HttpProblem(400, `model "${name}": version ${refused[0]} was not loaded: ${refused[1].reason}${on}`);
    });
  }

  /** Serves a model no more, until it is loaded again. @throws {HttpProblem} 404. */
  unload(name: string): Promise<void> {
    return this.#exclusively(async () => {
      const model = this.#model(name);
      model.unloaded = true;
      model.refused.clear();
      for (const version of [...model.versions.values()]) this.#retire(model, version);
    });
  }

  /** Looks at the files, and loads what changed and has settled since the last look. */
  refresh(): Promise<void> {
    return this.#exclusively(async () => {
      for (const source of this.#sources)
        await this.#load(source, { settled: true })
          .then(() => this.#complaints.delete(source))
          .catch((error: unknown) => this.#complain(source, (error as Error).message));
    });
  }

  /** What a source is wrong with is told once, not at every look. */
  #complain(source: Source, reason: string): void {
    if (this.#complaints.get(source) === reason) return;
    this.#complaints.set(source, reason);
    this.#events.onRefused(pathOr(source), "", reason);
  }

  /** One change of the repository at a time. */
  #exclusively<T>(change: () => Promise<T>): Promise<T> {
    const done = this.#work.then(change);
    this.#work = done.catch(() => {});
    return done;
  }

  #model(name: string): Model {
    const model = NAME.test(name) ? this.#models.get(name) : undefined;
    if (model !== undefined) return model;
    const names = [...this.#models.keys()];
    throw new HttpProblem(404, `no model ${JSON.stringify(name)}; there is ${names.join(", ") || "none"}`);
  }

  async #load(source: Source, how: LoadHow): Promise<void> {
    const { versions, labels } = await findVersions(source);
    const own = [...this.#models.values()].filter((model) => model.source === source);
    const gone = new Map(own.map((model) => [model, new Set([...model.versions.keys(), ...model.refused.keys()])]));
    const faults = new Map<string, unknown>();
    for (const found of versions) {
      checkGoesOn(how.signal);
      const name = found.name ?? own[0]?.name;
      const model = name === undefined ? undefined : this.#models.get(name);
      if (model !== undefined) gone.get(model)?.delete(found.version);
      if (!this.#isDue(found, name, model, how)) continue;
      const fault = await this.#open(found, source, name);
      if (fault !== undefined && how.firstTime) faults.set(name ?? String(source), fault);
    }
    for (const [model, versions] of gone) this.#retireGone(model, versions, how);
    for (const model of this.#models.values())
      if (model.source === source) model.labels = labels.get(model.name) ?? new Map();
    for (const [name, fault] of faults) if (!this.#models.get(name)?.versions.size) throw fault;
  }

  /** A version is gone when its files are; a look at the files wants to see that twice, since copying takes time. */
  #retireGone(model: Model, versions: ReadonlySet<string>, { settled }: LoadHow): void {
    for (const version of versions) {
      const key = `${model.name}/${version}`;
      const before = this.#seen.get(key);
      this.#seen.set(key, GONE);
      if (settled && before !== GONE) continue;
      model.refused.delete(version);
      const loaded = model.versions.get(version);
      if (loaded !== undefined) this.#retire(model, loaded);
    }
    if (versions.size > 0 && model.versions.size === 0 && model.refused.size === 0) this.#models.delete(model.name);
  }

  #isDue(found: FoundVersion, name: string | undefined, model: Model | undefined, how: LoadHow): boolean {
    if (how.only !== undefined && name !== how.only) return false;
    if (model?.unloaded && !how.again) return false;
    const loaded = model?.versions.get(found.version);
    if (loaded !== undefined && found.fingerprint === undefined) return how.again ?? false;
    if (loaded !== undefined && loaded.fingerprint === found.fingerprint) return false;
    if (how.again || how.firstTime) return true;
    if (model?.refused.get(found.version)?.fingerprint === found.fingerprint && model?.refused.has(found.version))
      return false;
    const key = `${name}/${found.version}`;
    const settled = this.#seen.get(key) === found.fingerprint;
    this.#seen.set(key, found.fingerprint);
    return settled;
  }

  /** Opens a version in every worker and swaps it in. Answers what it failed with; then all is as it was. */
  async #open(found: FoundVersion, source: Source, expected: string | undefined): Promise<unknown> {
    let name = expected ?? "";
    const { version, fingerprint } = found;
    if (NAME.test(name) && !this.#models.has(name)) this.#models.set(name, newModel(name, source));
    try {
      const bundle = await this.#read(found.source);
      name ||= bundle.manifest.name;
      if (found.name === undefined && bundle.manifest.name !== name)
        throw new SubspanError("BUNDLE_INVALID", `expected the name "${name}", got "${bundle.manifest.name}"`);
      if (!NAME.test(name)) throw usage(`letters, digits, ".", "_" and "-" in a name, got ${JSON.stringify(name)}`);
      const model = this.#models.get(name) ?? newModel(name, source);
      if (model.source !== source)
        throw usage(`every name once, got two called "${name}"; in a folder of bundles, folders' names count`);
      const id = this.#ids++;
      const opened = await this.#pool.open({ model: id, name, version, bundle });
      const served = { id, name, version, bundle, opened, fingerprint, statistics: new Statistics() };
      const before = model.versions.get(version);
      model.versions.set(version, served);
      model.refused.delete(version);
      model.unloaded = false;
      this.#models.set(name, model);
      if (before !== undefined) this.#close(before);
      this.#events.onLoad(served);
      return undefined;
    } catch (error) {
      const reason = (error as Error).message;
      this.#models.get(name)?.refused.set(version, { fingerprint, reason });
      this.#events.onRefused(name || pathOr(source), version, reason);
      return error;
    }
  }

  #read(source: FoundVersion["source"]): Promise<SharedBundle> {
    if (typeof source === "string" || source instanceof Uint8Array) return this.#pool.read(source, this.#precision);
    return shared(source);
  }

  #retire(model: Model, version: ServedVersion): void {
    model.versions.delete(version.version);
    this.#close(version);
    this.#events.onUnload(version);
  }

  /** Closes a version once no request is under way on it. */
  #close(version: ServedVersion): void {
    if (this.#users.has(version)) this.#retired.add(version);
    else void this.#pool.close(version.id);
  }
}

interface LoadHow {
  readonly firstTime?: boolean;
  /** Nothing but this model. */
  readonly only?: string;
  /** What was refused or unloaded too. */
  readonly again?: boolean;
  readonly settled?: boolean;
  readonly signal?: AbortSignal;
}

function checkGoesOn(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new SubspanError("INTERRUPTED", "the server was told to end while it started");
}

function newModel(name: string, source: Source): Model {
  return { name, source, versions: new Map(), refused: new Map(), labels: new Map(), unloaded: false };
}

function usage(message: string): SubspanError {
  return new SubspanError("USAGE", `models to serve: expected ${message}`);
}
