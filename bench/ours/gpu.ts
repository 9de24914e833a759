// Which WebGPU: Deno's own, or Dawn's from npm (`dawn`).

/** Dawn's Node binding; not among the library's dependencies, fetched where it is asked for. */
const dawn = "npm:webgpu@0.6.2";

export async function gpuNamed(name: string | undefined): Promise<GPU> {
  if (name === undefined || name === "deno") return navigator.gpu;
  if (name !== "dawn") throw new Error(`--gpu is "${name}"; it must be "deno" or "dawn".`);
  const { create } = await import(dawn);
  return create([]);
}
