import { createHash, timingSafeEqual } from "node:crypto";
import { readFile } from "node:fs/promises";
import { SubspanError } from "../../runtime/node.ts";
import { HttpProblem } from "../problem.ts";

/** `admin` may do all that `inference` may, and load and unload models. */
export type Scope = "open" | "inference" | "admin";

/** Bearer tokens by what they allow. */
export interface Tokens {
  readonly inference: readonly string[];
  readonly admin: readonly string[];
}

/** Shorter ones can be guessed. */
const MIN_TOKEN = 16;
const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|::1)$/;

/**
 * Who may call what. Without inference tokens, inference is open. Without admin tokens, models are loaded and unloaded
 * by programs on a server that only this machine reaches, and by nobody else: where inference tokens are asked for, or
 * others reach it, an admin token is needed.
 */
export class Access {
  readonly #inference: readonly Buffer[];
  readonly #admin: readonly Buffer[];
  readonly #adminOpen: boolean;

  constructor({ inference, admin }: Tokens, host: string) {
    this.#inference = [...inference, ...(inference.length > 0 ? admin : [])].map(digest);
    this.#admin = admin.map(digest);
    this.#adminOpen = admin.length === 0 && inference.length === 0 && LOOPBACK.test(host);
  }

  /**
   * @param origin - the page that asks, if one does: a browser on this machine is no admin.
   * @throws {HttpProblem} 401 without a token, 403 with one that does not allow it.
   */
  check(scope: Scope, authorization: string | undefined, origin: string | undefined): void {
    if (scope === "open" || (scope === "inference" && this.#inference.length === 0)) return;
    if (scope === "admin" && this.#adminOpen && origin === undefined) return;
    const accepted = scope === "admin" ? this.#admin : this.#inference;
    if (accepted.length === 0)
      throw new HttpProblem(403, "loading and unloading models needs an admin token; there is none");
    const [, token] = /^Bearer +(\S+)$/i.exec(authorization ?? "") ?? [];
    const challenge = { "www-authenticate": 'Bearer realm="subspan"' };
    if (token === undefined) throw new HttpProblem(401, "authorization: expected a bearer token", challenge);
    if (matches(accepted, token)) return;
    if (scope === "admin" && matches(this.#inference, token))
      throw new HttpProblem(403, "this token does not allow loading and unloading models");
    throw new HttpProblem(401, "authorization: not a token of this server", challenge);
  }
}

/** In a time that does not tell how much of a token was right, nor which. */
function matches(accepted: readonly Buffer[], token: string): boolean {
  const asked = digest(token);
  return accepted.reduce((any, one) => timingSafeEqual(one, asked) || any, false);
}

function digest(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}

/**
 * Reads tokens: from a file with lines such as `inference TOKEN` and `admin TOKEN`, and from the environment's
 * SUBSPAN_INFERENCE_TOKENS and SUBSPAN_ADMIN_TOKENS, with commas between.
 *
 * @throws {SubspanError} USAGE for a file that cannot be read, another form, or a short token; none is shown.
 */
export async function readTokens(file: string | undefined, env: NodeJS.ProcessEnv): Promise<Tokens> {
  const tokens = { inference: list(env.SUBSPAN_INFERENCE_TOKENS), admin: list(env.SUBSPAN_ADMIN_TOKENS) };
  const text = file === undefined ? "" : await readFile(file, "utf8").catch(unreadable);
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    if (/^\s*(#|$)/.test(line)) continue;
    const [, scope, token] = /^\s*(inference|admin)\s+(\S+)\s*$/.exec(line) ?? [];
    if (scope === undefined || token === undefined)
      throw usage(`${file}, line ${i + 1}: expected "inference TOKEN" or "admin TOKEN"`);
    tokens[scope as keyof Tokens].push(token);
  }
  if ([...tokens.inference, ...tokens.admin].some((token) => token.length < MIN_TOKEN))
    throw usage(`tokens: expected ${MIN_TOKEN} characters at least, got a shorter one`);
  return tokens;
}

const list = (text = "") => text.split(",").filter((token) => token !== "");

function unreadable(cause: Error): never {
  throw usage(`token file: ${cause.message}`, cause);
}

function usage(message: string, cause?: Error): SubspanError {
  return new SubspanError("USAGE", message, { cause });
}
