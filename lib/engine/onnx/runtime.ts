// onnxruntime itself, loaded only where a CPU device is opened: whoever needs none never pays for it.
import { UserError } from "../../errors.ts";

export type OnnxRuntime = typeof import("onnxruntime-node");

/** Throws UserError where its native library may not, or cannot, be loaded. */
export async function loadOnnxRuntime(): Promise<OnnxRuntime> {
  try {
    return await import("onnxruntime-node");
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) {
      const flag = /Requires (\w+) access/.exec(error.message)?.[1] ?? "ffi";
      throw new UserError(
        `The CPU backend runs on onnxruntime, which is native code: run with --allow-${flag} (-P=train has it).`,
      );
    }
    const reason = (error as Error).message.split("\n")[0].replace(/\.$/, "");
    throw new UserError(
      `The CPU backend cannot run here, as onnxruntime's native library does not load (${reason}): use WebGPU.`,
    );
  }
}
