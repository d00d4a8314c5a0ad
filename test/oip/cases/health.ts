import assert from "node:assert/strict";
import { assertRefused, type Case, parse, type Target } from "../suite.ts";
import { ALL_DATATYPES, type TensorMetadata } from "../tensors.ts";

/** Health, the server's and the model's metadata, and what each path answers to other methods. */
export function healthCases(target: Target): Case[] {
  const { endpoint, paths, model } = target;
  const of = (group: string, name: string, run: Case["run"], level: Case["level"] = "protocol"): Case => {
    return { level, group, name, run };
  };
  const server = ["live", "ready"].map((state) =>
    of("health", `GET /v2/health/${state}`, async () => {
      const reply = await endpoint.ask(`/v2/health/${state}`);
      assert.equal(reply.status, 200);
      if (reply.body.length > 0) assert.equal(Object.values(parse(reply))[0], true);
    }),
  );
  const metadata = ["/v2", "/v2/"].map((path) =>
    of("server metadata", `GET ${path}`, async () => {
      const reply = await endpoint.ask(path);
      assert.equal(reply.status, 200);
      const { name, version, extensions } = parse(reply);
      assert.ok(typeof name === "string" && name !== "", "name");
      assert.ok(typeof version === "string" && version !== "", "version");
      assert.ok(Array.isArray(extensions) && extensions.every((item) => typeof item === "string"), "extensions");
    }),
  );
  const models = paths.flatMap((path) => [
    of("model metadata", `GET ${path}`, async () => {
      const reply = await endpoint.ask(path);
      assert.equal(reply.status, 200);
      const { name, versions, platform, inputs, outputs } = parse(reply);
      assert.equal(name, model);
      assert.ok(
        versions === undefined || (Array.isArray(versions) && versions.every((item) => typeof item === "string")),
      );
      assert.equal(typeof platform, "string", "platform");
      for (const tensors of [inputs, outputs]) {
        assert.ok(Array.isArray(tensors) && tensors.length > 0);
        for (const { name: tensor, datatype, shape } of tensors as TensorMetadata[]) {
          assert.ok(typeof tensor === "string" && tensor !== "");
          assert.ok((ALL_DATATYPES as readonly string[]).includes(datatype), `datatype ${datatype}`);
          assert.ok(
            shape.every((dim) => Number.isInteger(dim) && dim >= -1),
            `shape [${shape}]`,
          );
        }
      }
    }),
    of("model metadata", `GET ${path}/ready`, async () => {
      const reply = await endpoint.ask(`${path}/ready`);
      assert.equal(reply.status, 200);
      if (reply.body.length > 0) assert.deepEqual(parse(reply), { name: model, ready: true });
    }),
    ...["", "/ready"].map((tail) =>
      of("model metadata", `${path}${tail} says it is JSON`, async () => {
        const reply = await endpoint.ask(path + tail);
        if (reply.body.length > 0) assert.match(String(reply.headers["content-type"]), /^application\/json/);
      }),
    ),
  ]);
  return [...server, ...metadata, ...models, ...otherMethods(target)];
}

/** A path that there is, asked by a method it has not: 405, the methods it has, an error object. */
function otherMethods({ endpoint, paths, extensions }: Target): Case[] {
  const get = ["/v2/health/live", "/v2/health/ready", "/v2", ...paths.flatMap((path) => [path, `${path}/ready`])];
  if (extensions.has("model_configuration")) get.push(...paths.map((path) => `${path}/config`));
  if (extensions.has("statistics")) get.push(...paths.map((path) => `${path}/stats`));
  const post = paths.map((path) => `${path}/infer`);
  if (extensions.has("model_repository")) post.push("/v2/repository/index");
  const wrong = [
    ...get.flatMap((path) => ["POST", "PUT", "PATCH", "DELETE"].map((method) => [method, path] as const)),
    ...post.flatMap((path) => ["GET", "PUT", "PATCH", "DELETE"].map((method) => [method, path] as const)),
  ];
  return wrong.map(([method, path]) => ({
    level: "robustness",
    group: "other methods",
    name: `${method} ${path}`,
    run: async () => {
      const reply = await endpoint.ask(path, { method });
      assertRefused(reply, [405]);
      assert.ok(reply.headers.allow, "expected an Allow header");
    },
  }));
}
