// A device that notes how many tokens go through each program: batches are counted, not timed.
import type { Device } from "../lib/engine/device.ts";

/** `runs` gets the number of tokens of every run of a program of the whole model. */
export function counting(device: Device): { device: Device; runs: number[] } {
  const runs: number[] = [];
  const compile: Device["compile"] = async (...of) => {
    const program = await device.compile(...of);
    return {
      close: () => program.close(),
      run(inputs) {
        if (inputs.ids && inputs.ranges) runs.push(inputs.ids.shape[0]);
        return program.run(inputs);
      },
    };
  };
  return { device: Object.assign(Object.create(device), { compile }), runs };
}
