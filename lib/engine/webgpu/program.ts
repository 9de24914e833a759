// A compiled graph: plans for the sizes that occur, run by encoding their dispatches.
import { bindSizes } from "../bind.ts";
import type { Graph } from "../graph.ts";
import { byteLength, type Tensor } from "../tensor.ts";
import type { WebGPUDevice } from "./device.ts";
import { type Place, type Plan, plan, type PlannedDispatch } from "./plan.ts";

export interface WebGPUProgram {
  /**
   * Encodes the program; nothing is waited for. Outputs are new tensors of the caller, except those written in place:
   * for these it is the input's own tensor.
   */
  run(inputs: Record<string, Tensor>): Record<string, Tensor>;
  /** Gives back what the plans hold. */
  close(): void;
}

interface LivePlan extends Plan {
  readonly uniforms: GPUBuffer | undefined;
  /** For each dispatch the bind groups made so far, by the buffers in them. */
  readonly groups: Map<string, GPUBindGroup>[];
}

/** Plans are small (no tensors), but each costs a lowering. */
const plansKept = 64;
/** Enough for every layer of a large model to have its own. */
const groupsKept = 256;

export function compileWebGPU(graph: Graph, device: WebGPUDevice): WebGPUProgram {
  const plans = new Map<string, LivePlan>();
  const identity = createIdentity();

  const planFor = (sizes: Map<string, number>): LivePlan => {
    const key = [...sizes].map(([name, size]) => `${name}=${size}`).join();
    const made = plans.get(key) ?? realize(plan(graph, sizes, device), device);
    plans.delete(key);
    plans.set(key, made);
    if (plans.size > plansKept) {
      const [oldest, { uniforms }] = plans.entries().next().value!;
      plans.delete(oldest);
      // Commands that use its parameters may not have been submitted yet.
      device.recorder.submit();
      uniforms?.destroy();
    }
    return made;
  };

  return {
    run(inputs) {
      device.check();
      const planned = planFor(bindSizes(graph, inputs, device.features));
      const given = [...graph.inputs.keys()].map((name) => {
        if (device.pool.isLive(inputs[name].storage as GPUBuffer)) return inputs[name];
        throw new Error(`webgpu: input ${name} was freed.`);
      });
      const outputs = planned.outputs.map(({ type, place }) =>
        place.kind === "input" ? given[place.index] : device.allocate(type.shape, type.dtype)
      );
      const scratch = planned.scratch.map((bytes) => device.pool.acquire(bytes));
      const bufferAt = ({ kind, index }: Place): GPUBuffer => {
        if (kind === "scratch") return scratch[index];
        return (kind === "input" ? given : outputs)[index].storage as GPUBuffer;
      };
      for (
        const buffer of [...given, ...outputs].map(({ storage }) => storage as GPUBuffer).concat(scratch)
      ) {
        device.pool.touch(buffer, device.recorder.submission);
      }
      planned.dispatches.forEach((dispatch, i) => {
        const buffers = dispatch.bindings.map(({ place }) => bufferAt(place));
        const group = groupFor(dispatch, buffers, planned.uniforms, planned.groups[i], identity, device.gpu);
        device.recorder.dispatch(dispatch.name, dispatch.pipeline, group, dispatch.workgroups);
      });
      planned.outputs.forEach(({ copyOf, type }, i) => {
        if (!copyOf) return;
        const to = outputs[i].storage as GPUBuffer;
        device.recorder.encoder().copyBufferToBuffer(bufferAt(copyOf), 0, to, 0, byteLength(type));
      });
      // In reverse, so that the next run finds the same buffers in the same places and its bind groups with them.
      for (const buffer of scratch.reverse()) device.pool.release(buffer);
      return Object.fromEntries([...graph.outputs.keys()].map((name, i) => [name, outputs[i]]));
    },
    close() {
      device.recorder.submit();
      for (const { uniforms } of plans.values()) uniforms?.destroy();
      plans.clear();
    },
  };
}

function realize(planned: Plan, { gpu }: WebGPUDevice): LivePlan {
  const groups = planned.dispatches.map(() => new Map<string, GPUBindGroup>());
  const { parameters } = planned;
  if (parameters.length === 0) return { ...planned, groups, uniforms: undefined };
  const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
  const uniforms = gpu.createBuffer({ label: "parameters", size: parameters.byteLength, usage });
  gpu.queue.writeBuffer(uniforms, 0, parameters);
  return { ...planned, groups, uniforms };
}

function groupFor(
  { name, layout, bindings, writes, uniform }: PlannedDispatch,
  buffers: readonly GPUBuffer[],
  uniforms: GPUBuffer | undefined,
  known: Map<string, GPUBindGroup>,
  identity: (buffer: GPUBuffer) => number,
  gpu: GPUDevice,
): GPUBindGroup {
  const key = buffers.map(identity).join();
  const cached = known.get(key);
  if (cached) return cached;
  if (writes.some((written) => buffers.indexOf(buffers[written]) !== buffers.lastIndexOf(buffers[written]))) {
    throw new Error(`webgpu: ${name} would write a tensor that is bound to it twice.`);
  }
  const entries: GPUBindGroupEntry[] = bindings.map(({ offset, size }, binding) => ({
    binding,
    resource: { buffer: buffers[binding], offset, size },
  }));
  if (uniform) entries.push({ binding: entries.length, resource: { buffer: uniforms!, ...uniform } });
  const group = gpu.createBindGroup({ label: name, layout, entries });
  if (known.size >= groupsKept) known.clear();
  known.set(key, group);
  return group;
}

function createIdentity(): (buffer: GPUBuffer) => number {
  const numbers = new WeakMap<GPUBuffer, number>();
  let next = 0;
  return (buffer) => {
    let number = numbers.get(buffer);
    if (number === undefined) numbers.set(buffer, number = next++);
    return number;
  };
}
