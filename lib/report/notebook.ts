// Where a program runs: in a notebook errors and lines are shown by the kernel.

/** Whether this is Deno's Jupyter kernel. Deno.jupyter is there everywhere, but throws outside a notebook. */
export function inNotebook(): boolean {
  try {
    return "Deno" in globalThis && typeof Deno.jupyter === "object";
  } catch {
    return false;
  }
}
