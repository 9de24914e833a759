// Placeholder while kernels are being written.
export const pending = (): never => {
  throw new Error("no WebGPU lowering yet");
};
