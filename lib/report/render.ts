// Vega-Lite specs to SVG and PNG, without a browser. PNG text is drawn in Open Sans from a package, so that a picture is
// the same on every machine, also where no font is installed.
import { fromFileUrl } from "@std/path";
import { UserError } from "../errors.ts";
import { writeFileAtomic } from "../formats/atomic.ts";
import { fileError } from "../formats/file_error.ts";

/** Options of {@linkcode renderPNG}. */
export interface PNGOptions {
  /** Pixels of the picture for each of the chart. Default: 2. */
  scale?: number;
  /** Paths of further TrueType or OpenType fonts, for writing that Open Sans lacks (it has Latin, Greek, Cyrillic). */
  fonts?: string[];
}

type Resvg = typeof import("@resvg/resvg-wasm");

/**
 * Draws a chart as SVG text. Needs no permission.
 *
 * @param spec a Vega-Lite specification, such as `lossChart` gives
 *
 * @example
 * ```ts
 * import { renderSVG } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const svg = await renderSVG({ data: { values: [{ x: 1 }, { x: 2 }] }, mark: "point", encoding: { x: { field: "x" } } });
 * assert.match(svg, /^<svg/);
 * ```
 */
export async function renderSVG(spec: Record<string, unknown>): Promise<string> {
  const [{ compile }, vega] = await Promise.all([import("vega-lite"), import("vega")]);
  // Where there is no canvas to measure text on, Vega takes 0.8 em a letter, and leaves wide empty margins.
  const { textMetrics } = vega as unknown as { textMetrics: TextMetrics };
  if (textMetrics.width === textMetrics.estimateWidth) textMetrics.width = textWidth;
  const view = new vega.View(vega.parse(compile(spec as unknown as Parameters<typeof compile>[0]).spec), {
    renderer: "none",
  });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}

/**
 * Draws a chart as the bytes of a PNG file. Needs `--allow-read` for the renderer and its font in Deno's cache.
 *
 * @param spec a Vega-Lite specification, such as `lossChart` gives
 * @throws {UserError} when a font is missing, or the permission to read
 *
 * @example
 * ```ts
 * import { lossChart, renderPNG } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const png = await renderPNG(lossChart([{ step: 1, loss: 2, series: "training" }, { step: 2, loss: 1, series: "training" }]));
 * assert.deepEqual([...png.subarray(1, 4)], [0x50, 0x4e, 0x47]); // "PNG"
 * ```
 */
export async function renderPNG(
  spec: Record<string, unknown>,
  options: PNGOptions = {},
): Promise<Uint8Array> {
  const { scale = 2, fonts = [] } = options;
  const [svg, { Resvg }, fontBuffers] = await Promise.all([
    renderSVG(spec),
    loadResvg(),
    packagedFonts().then((own) => Promise.all([...own, ...fonts].map(readBytes))),
  ]);
  const picture = new Resvg(svg, {
    fitTo: { mode: "zoom", value: scale },
    font: { fontBuffers, defaultFontFamily: "Open Sans", sansSerifFamily: "Open Sans" },
  });
  try {
    return picture.render().asPng();
  } finally {
    picture.free();
  }
}

/**
 * Draws a chart into a file, whole or not at all; a file of that name is replaced.
 *
 * @param path ends in .svg, .png or, for the specification itself, .json
 * @throws {UserError} for another ending, a missing folder or a missing permission
 *
 * @example
 * ```ts
 * import { lossChart, saveChart } from "@fintune/fintune";
 * import assert from "node:assert/strict";
 * const folder = await Deno.makeTempDir();
 * await saveChart(lossChart([{ step: 1, loss: 2, series: "training" }]), `${folder}/loss.svg`);
 * assert.match(await Deno.readTextFile(`${folder}/loss.svg`), /^<svg/);
 * ```
 */
export async function saveChart(
  spec: Record<string, unknown>,
  path: string,
  options: PNGOptions = {},
): Promise<void> {
  const ending = /\.(svg|png|json)$/i.exec(path)?.[1].toLowerCase();
  if (!ending) {
    throw new UserError(
      `${path}: a chart is saved as .svg, .png or .json; give the path one of these endings.`,
    );
  }
  await writeFileAtomic(path, await contentOf(spec, ending, options));
}

function contentOf(
  spec: Record<string, unknown>,
  ending: string,
  options: PNGOptions,
): string | Promise<string | Uint8Array> {
  if (ending === "json") return JSON.stringify(spec) + "\n";
  return ending === "svg" ? renderSVG(spec) : renderPNG(spec, options);
}

type TextWidth = (
  item: { fontSize?: number; fontWeight?: string | number; limit?: number },
  text: unknown,
) => number;

/** Vega exports this, and its types leave it out. */
interface TextMetrics {
  width: TextWidth;
  estimateWidth: TextWidth;
}

/** Width of a text in pixels, from the letters' widths in Open Sans, which most sans-serif fonts are near. */
function textWidth(item: Parameters<TextWidth>[0], text: unknown): number {
  let ems = 0;
  for (const letter of String(text ?? "")) {
    if (/[ijl.,:;'|!()[\]I ftr-]/.test(letter)) ems += 0.32;
    else if (/[mwMW%@\u2e80-\uffff]/.test(letter)) ems += 0.92;
    else ems += /[A-Z]/.test(letter) ? 0.65 : 0.57;
  }
  const bold = item.fontWeight === "bold" || Number(item.fontWeight) >= 600;
  const width = ems * (item.fontSize ?? 11) * (bold ? 1.06 : 1);
  return item.limit ? Math.min(width, item.limit) : width;
}

let resvg: Promise<Resvg> | undefined;

/** The WebAssembly build: no native code, so a chart needs no --allow-ffi. It can be started only once. */
function loadResvg(): Promise<Resvg> {
  return resvg ??= (async () => {
    const module = await import("@resvg/resvg-wasm");
    await module.initWasm(
      await readBytes(inPackage("@resvg/resvg-wasm/index_bg.wasm")),
    );
    return module;
  })();
}

async function packagedFonts(): Promise<string[]> {
  // Importing any of its modules is what makes Deno install the package.
  await import("@expo-google-fonts/open-sans/metadata.json", { with: { type: "json" } });
  return ["400Regular/OpenSans_400Regular.ttf", "600SemiBold/OpenSans_600SemiBold.ttf"].map(
    (file) => inPackage(`@expo-google-fonts/open-sans/${file}`),
  );
}

async function readBytes(path: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return await Deno.readFile(path);
  } catch (error) {
    throw fileError(error, path, "read");
  }
}

/** Where a file of an installed package lies. "npm:" finds it without this project's import map too. */
function inPackage(path: string): string {
  return fromFileUrl(import.meta.resolve(`npm:${path}`));
}
