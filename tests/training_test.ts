// Training against PyTorch: traces of losses and gradient norms, schedules; and what must not change a result: layout,
// accumulation, recomputation, number of steps already done.
import assert from "node:assert/strict";
import { join } from "@std/path";
import { type Batch, batchOf, type Example, exampleOf, type Layout, layOut } from "../lib/data/batch.ts";
import { loadModel } from "../lib/models/load.ts";
import { activeAdapter, type Model, trainableParameters } from "../lib/models/model.ts";
import { loadAdapter } from "../lib/peft.ts";
import { adamW } from "../lib/train/adamw.ts";
import { trainEpoch } from "../lib/train/epoch.ts";
import { type Gradients, gradients } from "../lib/train/inspect.ts";
import {
  constantSchedule,
  cosineSchedule,
  cosineWithRestartsSchedule,
  linearSchedule,
  type Schedule,
} from "../lib/train/schedule.ts";
import { devices } from "./devices.ts";
import {
  assertClose,
  assertTrace,
  families,
  readCases,
  readJson,
  referenceFolder,
  runTrace,
  type Trace,
} from "./references.ts";

/** 1e-4 is promised; at 2e-5 it shows when AdamW takes 1 - beta2 from a rounded beta2. */
const tolerance = 2e-5;

for (const device of await devices()) {
  const load = (name: string) => loadModel(join(referenceFolder(name), "model"), { device });
  const loadAdapted = async (name: string) =>
    await loadAdapter(await load(name), join(referenceFolder(name), "adapter"));
  /** With another dropout, over copies of the adapter's matrices. */
  const withDropout = async (model: Model, dropout: number): Promise<Model> => {
    const adapter = activeAdapter(model)!, parameters = new Map();
    for (const [name, tensor] of adapter.parameters) {
      const [data] = await device.read(tensor);
      parameters.set(name, device.upload(data.slice(), tensor.shape, "f32"));
    }
    const config = { ...adapter.config, dropout };
    return { ...model, adapters: new Map([["default", { ...adapter, config, parameters }]]) };
  };
  const read = async (model: Model) => {
    const tensors = [...trainableParameters(model).values()];
    return (await device.read(...tensors)).map((data) => data.slice() as Float32Array);
  };

  for (const name of families) {
    Deno.test(`${device.backend}: ${name}: 20 AdamW steps as PyTorch's`, async () => {
      const { rows, training } = await readCases(name), trace = training.warmupFromFirstStep as Trace;
      const rates: Schedule = (step) => trace.learningRates[step];
      assertTrace(await runTrace(await loadAdapted(name), rows, training, rates), trace, tolerance);
    });

    Deno.test(`${device.backend}: ${name}: the same by our own schedule, as transformers'`, async () => {
      const { rows, training } = await readCases(name), trace = training.transformers as Trace;
      const schedule = linearSchedule(training.peak, { warmup: training.warmup, total: 20 });
      const reports = await runTrace(await loadAdapted(name), rows, training, schedule);
      assertClose(reports.map(({ learningRate }) => learningRate), trace.learningRates, 1e-15, "rates");
      assertTrace(reports, trace, tolerance);
    });
  }

  Deno.test(`${device.backend}: five steps of full training as PyTorch's`, async () => {
    const { rows, training } = await readCases("llama_full"), trace = training.decayAll as Trace;
    const rates: Schedule = (step) => trace.learningRates[step];
    assertTrace(await runTrace(await load("llama_headdim"), rows, training, rates), trace, tolerance);
  });

  Deno.test(`${device.backend}: packed, padded and alone give one gradient, with dropout too`, async () => {
    const base = await loadAdapted("llama_tied");
    const { rows } = await readCases("llama_tied");
    const examples = rows.map(exampleOf), dropout = { seed: 7, step: 3 };
    for (const model of [base, await withDropout(base, 0.3)]) {
      const packed = await gradients(model, layOut(examples, "packed"), { dropout });
      const others = [
        await gradients(model, layOut(examples, "padded"), { dropout }),
        await gradients(model, layOut(examples.toReversed(), "packed"), { dropout }),
        await alone(model, examples, dropout),
      ];
      for (const other of others) {
        assertClose([other.loss], [packed.loss], 2e-6, "loss");
        for (const [name, values] of Object.entries(packed.gradients)) {
          assertClose(other.gradients[name], values, 5e-6, name);
        }
      }
    }
    const model = await withDropout(base, 0.3), losses = new Set<number>();
    for (const key of [undefined, dropout, { ...dropout, step: 4 }, { ...dropout, seed: 8 }]) {
      losses.add((await gradients(model, layOut(examples, "packed"), { dropout: key })).loss);
    }
    assert.equal(losses.size, 4, "every step and seed drops others");
  });

  Deno.test(`${device.backend}: activations kept or recomputed`, async () => {
    const model = await withDropout(await loadAdapted("llama_headdim"), 0.2);
    const { rows } = await readCases("llama_headdim"), dropout = { seed: 1, step: 2 };
    for (const layout of ["packed", "padded"] as Layout[]) {
      const batch = batchOf(rows, { layout });
      const kept = await gradients(model, batch, { checkpointing: false, dropout });
      const recomputed = await gradients(model, batch, { checkpointing: true, dropout });
      assertClose([kept.loss], [recomputed.loss], 2e-6, "loss");
      for (const [name, values] of Object.entries(recomputed.gradients)) {
        assertClose(kept.gradients[name], values, 5e-6, name);
      }
    }
  });

  Deno.test(`${device.backend}: four batches of two accumulated equal one of eight`, async () => {
    const base = await loadAdapted("llama_tied");
    const { rows } = await readCases("llama_tied");
    const examples = [...rows, rows[3], rows[1]].map(exampleOf);
    const runs: { reports: number[]; parameters: Float32Array[] }[] = [];
    for (const size of [2, 8]) {
      const model = await withDropout(base, 0.2), optimizer = adamW(model, { learningRate: 1e-2 });
      const batches: Batch[] = [], reports: number[] = [];
      for (let i = 0; i < 8; i += size) batches.push(layOut(examples.slice(i, i + size), "packed"));
      for (let epoch = 0; epoch < 3; epoch++) {
        await trainEpoch(model, batches, {
          optimizer,
          gradientAccumulationSteps: 8 / size,
          quiet: true,
          onStep: ({ step, loss, gradNorm, tokens }) => reports.push(step, loss, gradNorm, tokens),
        });
      }
      runs.push({ reports, parameters: await read(model) });
    }
    assert.equal(runs[0].reports.length, 12);
    assertClose(runs[0].reports, runs[1].reports, 2e-5, "reports");
    runs[0].parameters.forEach((values, i) =>
      assertClose(values, runs[1].parameters[i], 1e-4, `matrix ${i}`)
    );
  });

  Deno.test(`${device.backend}: the same seed gives the same run, bit for bit`, async () => {
    const base = await loadAdapted("llama_tied"), { rows, training } = await readCases("llama_tied");
    const run = async () => {
      const model = await withDropout(base, 0.1);
      await runTrace(model, rows, training, constantSchedule(1e-2), 5);
      return await read(model);
    };
    assert.deepEqual(await run(), await run());
  });

  Deno.test(`${device.backend}: live buffers stay constant over 100 steps`, async () => {
    const model = await withDropout(await loadAdapted("llama_tied"), 0.1);
    const { rows } = await readCases("llama_tied"), optimizer = adamW(model, { learningRate: 1e-3 });
    const batches = [layOut(rows.slice(4).map(exampleOf), "padded")];
    const seen: number[][] = [];
    for (let step = 0; step < 101; step++) {
      await trainEpoch(model, batches, { optimizer, quiet: true, checkpointing: step % 2 === 0 });
      const { live, buffers } = device.memory();
      seen.push([live, buffers]);
    }
    for (const [step, memory] of seen.entries()) {
      if (step > 1) assert.deepEqual(memory, seen[1], `step ${step}`);
    }
  });
}

/** The gradients of the rows one by one, weighted by their trained tokens. */
async function alone(model: Model, examples: Example[], dropout: { seed: number; step: number }) {
  const single: Gradients[] = [];
  for (const example of examples) {
    single.push(await gradients(model, layOut([example], "padded"), { dropout }));
  }
  const tokens = single.reduce((sum, result) => sum + result.tokens, 0);
  const mean = (value: (result: Gradients) => number) =>
    single.reduce((sum, result) => sum + value(result) * result.tokens / tokens, 0);
  const names = Object.keys(single[0].gradients);
  return {
    loss: mean(({ loss }) => loss),
    gradients: Object.fromEntries(
      names.map((name) => [
        name,
        single[0].gradients[name].map((_, i) => mean(({ gradients }) => gradients[name][i])),
      ]),
    ),
  };
}

Deno.test("schedules equal transformers', step by step", async () => {
  const reference = await readJson<Record<string, number[]>>("llama_extras", "schedules.json");
  const { total, warmup, peak, cycles } = reference as unknown as Record<string, number>;
  const ours: Record<string, Schedule> = {
    linear: linearSchedule(peak, { warmup, total }),
    cosine: cosineSchedule(peak, { warmup, total }),
    cosineWithRestarts: cosineWithRestartsSchedule(peak, { warmup, total, cycles }),
    constantWithWarmup: constantSchedule(peak, { warmup }),
  };
  for (const [name, schedule] of Object.entries(ours)) {
    assertClose(reference[name].map((_, step) => schedule(step)), reference[name], 1e-18, name);
  }
});
