// The commands of one step, gathered in one encoder until somebody submits them.
import type { Profiler } from "./profile.ts";

export interface Recorder {
  /** The number of the submission that is being recorded. */
  readonly submission: number;
  /** Adds one dispatch. Dispatches of one pass see each other's writes. */
  dispatch(
    name: string,
    pipeline: GPUComputePipeline,
    group: GPUBindGroup,
    workgroups: readonly [number, number, number],
  ): void;
  /** The encoder for copies and clears, outside any compute pass. */
  encoder(): GPUCommandEncoder;
  /** Hands everything recorded so far to the GPU, without waiting. */
  submit(): void;
}

export function createRecorder(
  device: GPUDevice,
  profiler: Profiler | undefined,
  submitted: (count: number) => void,
): Recorder {
  let submission = 0;
  let encoder: GPUCommandEncoder | undefined;
  let pass: GPUComputePassEncoder | undefined;

  const open = () => encoder ??= device.createCommandEncoder({ label: `step ${submission}` });
  const endPass = () => {
    pass?.end();
    pass = undefined;
  };
  return {
    get submission() {
      return submission;
    },
    dispatch(name, pipeline, group, workgroups) {
      if (profiler) endPass();
      pass ??= open().beginComputePass(
        profiler ? { label: name, timestampWrites: profiler.next(name, open()) } : {},
      );
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(...workgroups);
    },
    encoder() {
      endPass();
      return open();
    },
    submit() {
      if (!encoder) return;
      endPass();
      profiler?.resolve(encoder);
      device.queue.submit([encoder.finish()]);
      encoder = undefined;
      submitted(++submission);
    },
  };
}
