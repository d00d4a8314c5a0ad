/** The little of jasmine-core that running tfjs's tests takes; the package comes without types. */
declare module "jasmine-core" {
  export interface Spec {
    readonly id: string;
    getFullName(): string;
  }

  export interface SpecResult {
    readonly id: string;
    readonly status: "passed" | "failed" | "pending" | "excluded";
    readonly failedExpectations: readonly { readonly message: string }[];
  }

  export interface Env {
    configure(configuration: { random: boolean; specFilter(spec: Spec): boolean }): void;
    addReporter(reporter: { specStarted(spec: SpecResult): void; specDone(spec: SpecResult): void }): void;
    execute(): Promise<unknown>;
  }

  /** Makes `describe`, `it`, `expect` and the rest global. */
  const jasmineCore: { boot(): { getEnv(): Env; DEFAULT_TIMEOUT_INTERVAL: number } };
  export default jasmineCore;
}
