/**
 * The energy head's step in jax-js, as a peer of `npm run bench:step` (README.md has the protocol): the network and the loss of
 * energy_step.py, one jitted function with its gradients and Adam. Its engine in Node is WebAssembly on one thread; its init()
 * would look for a browser's navigator, which Node 20 has not.
 *
 * Its functions take their arguments' ownership: what is used again is passed as `.ref`.
 */
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

const [LATENT, QUEUE, SAMPLES] = [128, 1024, 60_000];
const WIDTHS = [LATENT, 256, 256, 128];
const [GAMMA, LAMBDA, STEEPNESS] = [200, 0.9, 100];
const [RATE, BETA1, BETA2, EPSILON] = [1e-3, 0.9, 0.999, 1e-8];

/** Uniform in [0, 1), the same in every run: splitmix32. */
let position = 0;
function random() {
  position = (position + 0x9e3779b9) | 0;
  let bits = Math.imul(position ^ (position >>> 16), 0x21f0aaad);
  bits = Math.imul(bits ^ (bits >>> 15), 0x735a2d97);
  return ((bits ^ (bits >>> 15)) >>> 0) / 2 ** 32;
}

const uniform = (length, limit) => Float32Array.from({ length }, () => (2 * random() - 1) * limit);

function unitRows(rows) {
  const data = new Float32Array(rows * LATENT);
  for (let row = 0; row < rows; row++) {
    const values = Array.from(
      { length: LATENT },
      () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()),
    );
    const norm = Math.hypot(...values);
    data.set(
      values.map((value) => value / norm),
      row * LATENT,
    );
  }
  return data;
}

function energyStep(jax, batch) {
  const { numpy: np, nn } = jax;
  const matrix = (data, rows) => np.array(data).reshape([rows, data.length / rows]);
  const initial = { threshold: np.zeros([]) };
  for (const network of ["query", "key"]) {
    WIDTHS.slice(1).forEach((outputs, i) => {
      const limit = Math.sqrt((i + 2 === WIDTHS.length ? 3 : 6) / WIDTHS[i]);
      initial[`${network}${i}.weights`] = matrix(uniform(WIDTHS[i] * outputs, limit), WIDTHS[i]);
      initial[`${network}${i}.bias`] = np.zeros([outputs]);
    });
  }

  const embedded = (parameters, network, latents) => {
    let x = latents.mul(Math.sqrt(LATENT));
    for (let i = 0; i + 1 < WIDTHS.length; i++) {
      if (i > 0) x = nn.relu(x);
      x = np.matmul(x, parameters[`${network}${i}.weights`]).add(parameters[`${network}${i}.bias`]);
    }
    return np.tanh(x);
  };
  const lossOf = (parameters, z, queue, index, owners) => {
    const atoms = np.concatenate([z.ref, queue], 0);
    const all = np.concatenate([index.ref, owners], 0);
    const others = np.notEqual(index.reshape([batch, 1]), all.reshape([1, batch + QUEUE])).astype(np.float32);
    const keys = embedded(parameters, "key", atoms.ref);
    const s = np.matmul(embedded(parameters, "query", z.ref).div(WIDTHS.at(-1)), np.transpose(keys));
    const b = nn.softplus(parameters.threshold.mul(STEEPNESS)).div(STEEPNESS);
    const c = nn
      .relu(s.ref.sub(b.ref))
      .sub(nn.relu(s.mul(-1).sub(b)))
      .mul(others);
    const fit = np.sum(np.square(z.sub(np.matmul(c.ref, atoms)))).mul(GAMMA / 2);
    const price = np.sum(
      np
        .abs(c.ref)
        .mul(LAMBDA)
        .add(np.square(c).mul((1 - LAMBDA) / 2)),
    );
    return fit.add(price).div(batch);
  };

  const names = Object.keys(initial);
  const update = jax.jit((parameters, m, v, t, data) => {
    const kept = Object.fromEntries(names.map((name) => [name, parameters[name].ref]));
    const [loss, gradients] = jax.valueAndGrad(lossOf)(kept, data.z, data.queue, data.index, data.owners);
    const next = { parameters: {}, m: {}, v: {}, t: t.add(1) };
    const corrections = [BETA1, BETA2].map((beta) => np.power(beta, next.t.ref).mul(-1).add(1));
    for (const name of names) {
      const g = gradients[name];
      next.m[name] = m[name].mul(BETA1).add(g.ref.mul(1 - BETA1));
      next.v[name] = v[name].mul(BETA2).add(np.square(g).mul(1 - BETA2));
      const root = np.sqrt(next.v[name].ref.div(corrections[1].ref)).add(EPSILON);
      next.parameters[name] = parameters[name].sub(next.m[name].ref.div(corrections[0].ref).div(root).mul(RATE));
    }
    for (const correction of corrections) correction.dispose();
    return { loss, next };
  });

  const like = () => Object.fromEntries(names.map((name) => [name, np.zeros(initial[name].shape)]));
  let state = { parameters: initial, m: like(), v: like(), t: np.array(0) };
  const data = {
    z: matrix(unitRows(batch), batch),
    queue: matrix(unitRows(QUEUE), QUEUE),
    index: np.array(Int32Array.from({ length: batch }, (_, i) => i)),
    owners: np.array(Int32Array.from({ length: QUEUE }, () => Math.floor(random() * SAMPLES))),
  };
  const parameters = names.reduce((sum, name) => sum + initial[name].size, 0);
  const run = async () => {
    const held = Object.fromEntries(Object.entries(data).map(([name, array]) => [name, array.ref]));
    const { loss, next } = update(state.parameters, state.m, state.v, state.t, held);
    state = next;
    await jax.blockUntilReady(next);
    return (await loss.data())[0];
  };
  return { parameters, run };
}

async function timed(step, steps) {
  const milliseconds = [];
  let loss;
  for (let i = 0; i < steps; i++) {
    const began = performance.now();
    loss = await step.run();
    milliseconds.push(performance.now() - began);
  }
  return { milliseconds, loss };
}

async function serve(lines) {
  let step;
  for await (const line of lines) {
    const request = JSON.parse(line);
    if (step !== undefined) {
      console.log(JSON.stringify(await timed(step, request.steps)));
      continue;
    }
    if (request.workload !== "energy")
      throw new Error(
        "its convolutions run at about 0.2 GFLOP/s in Node (one thread, no matrix product): minutes a step",
      );
    const jax = await import("@jax-js/jax");
    await jax.init("wasm");
    step = energyStep(jax, request.batch);
    const { milliseconds, loss } = await timed(step, 1);
    const { version } = JSON.parse(
      readFileSync(new URL("../package.json", import.meta.resolve("@jax-js/jax")), "utf8"),
    );
    console.log(
      JSON.stringify({ engine: `jax-js ${version}`, parameters: step.parameters, loss, first: milliseconds[0] }),
    );
  }
}

try {
  await serve(createInterface({ input: process.stdin }));
} catch (error) {
  console.log(JSON.stringify({ error: error.message.split(" imported from")[0].split("\n")[0] }));
  process.exitCode = 1;
}
process.stdin.destroy();
