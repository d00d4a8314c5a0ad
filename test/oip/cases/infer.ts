import assert from "node:assert/strict";
import {
  assertRefused,
  assertSame,
  binaryRequest,
  type Case,
  inferred,
  request,
  samples,
  type Target,
} from "../suite.ts";
import { ALL_DATATYPES, isNumeric, sample, toBytes, toJson } from "../tensors.ts";

const BATCHES = [1, 2, 3, 7];

/** Batches a model takes: one where its first size is fixed. */
export function batchesOf({ inputs }: Target): readonly number[] {
  return inputs.every(({ shape }) => shape[0] === -1) ? BATCHES : [1];
}

/** Inference in JSON: every batch, form, way to name the version, choice of outputs. */
export function inferCases(target: Target): Case[] {
  const { endpoint, paths, outputs } = target;
  const cases: Case[] = [];
  const add = (group: string, name: string, run: Case["run"]) => cases.push({ level: "protocol", group, name, run });
  for (const path of paths) {
    const infer = `${path}/infer`;
    for (const batch of batchesOf(target))
      for (const form of ["flat", "nested"] as const)
        for (const id of [undefined, "a-1", ""])
          add("infer", `${infer}: ${batch} samples, ${form}, id ${JSON.stringify(id) ?? "none"}`, async () => {
            const reply = await endpoint.post(infer, {
              ...(id !== undefined && { id }),
              ...request(target, batch, form),
            });
            const { json, outputs: got } = inferred(target, reply);
            if (id) assert.equal(json.id, id, "id");
            if (json.model_version !== undefined) assert.equal(typeof json.model_version, "string", "model_version");
            assert.deepEqual(got.map(({ name }) => name).sort(), outputs.map(({ name }) => name).sort());
            for (const { name, shape } of got)
              if (shape[0] !== undefined) assert.equal(shape[0], batch, `batch of ${name}`);
          });
    add("infer", `${infer}: flat and nested data give the same`, async () => {
      const [flat, nested] = await Promise.all(
        (["flat", "nested"] as const).map(async (form) =>
          inferred(target, await endpoint.post(infer, request(target, 3, form))),
        ),
      );
      assertSame(flat!.outputs, nested!.outputs, "flat and nested");
    });
    add("infer", `${infer}: a sample alone is what it is among others`, async () => {
      const all = inferred(target, await endpoint.post(infer, request(target, batchesOf(target).at(-1))));
      const one = inferred(target, await endpoint.post(infer, request(target, 1)));
      const first = all.outputs.map((output) => {
        const size = output.values.length / (output.shape[0] as number);
        return { ...output, shape: [1, ...output.shape.slice(1)], values: output.values.slice(0, size) };
      });
      assertSame(one.outputs, first, "alone and among others");
    });
    for (const { name } of outputs)
      for (const form of ["flat", "nested"] as const)
        add("outputs", `${infer}: only ${name}, ${form}`, async () => {
          const reply = await endpoint.post(infer, { ...request(target, 2, form), outputs: [{ name }] });
          assert.deepEqual(
            inferred(target, reply).outputs.map((output) => output.name),
            [name],
          );
        });
    add("outputs", `${infer}: in the order asked for`, async () => {
      const names = outputs.map(({ name }) => name).reverse();
      const reply = await endpoint.post(infer, { ...request(target), outputs: names.map((name) => ({ name })) });
      assert.deepEqual(
        inferred(target, reply).outputs.map((output) => output.name),
        names,
      );
    });
    for (const parameters of [{}, { word: "x" }, { number: 1.5 }, { flag: true }])
      add("parameters", `${infer}: ${JSON.stringify(parameters)}`, async () => {
        inferred(target, await endpoint.post(infer, { parameters, ...request(target) }));
      });
  }
  add("infer", "64 requests at once, each answered as alone", async () => {
    const path = `${paths[0]}/infer`;
    const alone = inferred(target, await endpoint.post(path, request(target, 1)));
    const all = await Promise.all(
      Array.from({ length: 64 }, (_, i) => endpoint.post(path, { id: String(i), ...request(target, 1) })),
    );
    all.forEach((reply, i) => {
      const { json, outputs: got } = inferred(target, reply);
      assert.equal(json.id, String(i), "id");
      assertSame(got, alone.outputs, "at once and alone");
    });
  });
  return [...cases, ...datatypeCases(target)];
}

/** The first input under every datatype, in JSON and in bytes: the model's own is taken, every other refused. */
function datatypeCases(target: Target): Case[] {
  const { endpoint, paths, inputs, extensions } = target;
  const [own] = inputs;
  if (own === undefined || inputs.length !== 1 || !isNumeric(own.datatype)) return [];
  const names = [...ALL_DATATYPES, own.datatype.toLowerCase(), "FP99", "", 7, null];
  const forms = extensions.has("binary_tensor_data") ? (["JSON", "bytes"] as const) : (["JSON"] as const);
  return paths.flatMap((path) =>
    forms.flatMap((form) =>
      names.map((datatype): Case => {
        const numeric = isNumeric(String(datatype)) ? (String(datatype) as typeof own.datatype) : own.datatype;
        const tensor = sample({ ...own, datatype: numeric }, 1);
        return {
          level: form === "JSON" ? "protocol" : "extension",
          group: "datatypes",
          name: `${path}/infer: ${JSON.stringify(datatype)} in ${form}`,
          run: async () => {
            const input = { ...toJson(tensor), datatype };
            const { data: _, ...rest } = input;
            const told = { ...rest, parameters: { binary_data_size: toBytes(tensor).length } };
            const reply =
              form === "JSON"
                ? await endpoint.post(`${path}/infer`, { inputs: [input] })
                : await endpoint.ask(`${path}/infer`, binaryRequest([tensor], { inputs: [told] }));
            if (datatype === own.datatype) inferred(target, reply);
            else assertRefused(reply);
          },
        };
      }),
    ),
  );
}

/** Tensors in bytes, both ways. */
export function binaryCases(target: Target): Case[] {
  const { endpoint, paths, outputs, inputs, extensions } = target;
  if (!extensions.has("binary_tensor_data")) return [];
  const cases: Case[] = [];
  const add = (name: string, run: Case["run"]) =>
    cases.push({ level: "extension", group: "binary tensors", name, run });
  for (const path of paths) {
    const infer = `${path}/infer`;
    for (const batch of batchesOf(target)) {
      const json = async () => inferred(target, await endpoint.post(infer, request(target, batch))).outputs;
      add(`${infer}: ${batch} samples, bytes in, JSON out`, async () => {
        const { outputs: got } = inferred(target, await endpoint.ask(infer, binaryRequest(samples(target, batch))));
        assert.ok(
          got.every(({ binary }) => !binary),
          "JSON was expected",
        );
        assertSame(got, await json(), "bytes and JSON");
      });
      add(`${infer}: ${batch} samples, bytes in, bytes out`, async () => {
        const all = { parameters: { binary_data_output: true } };
        const { outputs: got } = inferred(
          target,
          await endpoint.ask(infer, binaryRequest(samples(target, batch), all)),
        );
        assert.ok(
          got.every(({ binary }) => binary),
          "bytes were expected",
        );
        assertSame(got, await json(), "bytes and JSON");
      });
      add(`${infer}: ${batch} samples, JSON in, bytes out`, async () => {
        const body = { ...request(target, batch), parameters: { binary_data_output: true } };
        const { outputs: got } = inferred(target, await endpoint.post(infer, body));
        assert.ok(
          got.every(({ binary }) => binary),
          "bytes were expected",
        );
        assertSame(got, await json(), "bytes and JSON");
      });
    }
    for (const { name } of outputs) {
      add(`${infer}: ${name} alone in bytes, the others in JSON`, async () => {
        const asked = outputs.map((output) => ({
          name: output.name,
          parameters: { binary_data: output.name === name },
        }));
        const { outputs: got } = inferred(
          target,
          await endpoint.ask(infer, binaryRequest(samples(target, 2), { outputs: asked })),
        );
        assert.deepEqual(
          got.filter(({ binary }) => binary).map((output) => output.name),
          [name],
        );
      });
      add(`${infer}: all in bytes but ${name}`, async () => {
        const asked = outputs.map((output) =>
          output.name === name ? { name: output.name, parameters: { binary_data: false } } : { name: output.name },
        );
        const extra = { parameters: { binary_data_output: true }, outputs: asked };
        const { outputs: got } = inferred(target, await endpoint.ask(infer, binaryRequest(samples(target, 2), extra)));
        assert.deepEqual(
          got.filter(({ binary }) => !binary).map((output) => output.name),
          [name],
        );
      });
    }
    add(`${infer}: an id comes back`, async () => {
      const { json } = inferred(target, await endpoint.ask(infer, binaryRequest(samples(target, 2), { id: "b-1" })));
      assert.equal(json.id, "b-1");
    });
    if (inputs.length === 1 && inputs[0]!.shape.slice(1).every((dim) => dim >= 0))
      add(`${infer}: the body is one tensor, header length 0`, async () => {
        const headers = { "content-type": "application/octet-stream", "inference-header-content-length": "0" };
        const [tensor] = samples(target, 1);
        const { outputs: got } = inferred(target, await endpoint.ask(infer, { headers, body: toBytes(tensor!) }));
        assertSame(got, inferred(target, await endpoint.post(infer, request(target, 1))).outputs, "raw and JSON");
      });
  }
  return cases;
}
