// Results where they are looked at: tables and pictures in a notebook, text elsewhere.
import type { ChartSpec } from "./look.ts";
import { inNotebook } from "./notebook.ts";

/**
 * Shows a text or a chart where the program runs: in Deno's Jupyter kernel Markdown as a formatted text with its tables, a
 * chart as a picture; elsewhere the text is printed as it is, and a chart is left to {@linkcode saveChart}.
 *
 * @example
 * ```ts
 * import { markdownTable, show } from "@fintune/fintune";
 * await show(markdownTable([{ model: "base", rouge1: 0.1748 }, { model: "tuned", rouge1: 0.1968 }]));
 * ```
 */
export async function show(what: string | ChartSpec): Promise<void> {
  if (inNotebook()) {
    const isText = typeof what === "string";
    await Deno.jupyter.display(isText ? { "text/markdown": what, "text/plain": what } : what, {
      raw: isText,
    });
  } else if (typeof what === "string") console.log(what);
}
