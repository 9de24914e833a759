// What all charts share: colours, fonts, axes, and how a notebook shows them.
import { renderSVG } from "./render.ts";

/**
 * A Vega-Lite specification: plain JSON, to render with {@linkcode renderSVG} or to paste into the Vega editor. As the
 * last value of a cell in Deno's Jupyter kernel it shows as a picture.
 */
export type ChartSpec = Record<string, unknown>;

/** Options of a chart; sizes in pixels. */
export interface ChartOptions {
  /** Large first line. Default: "Loss", "Scores" or "Run". */
  title?: string;
  /** Smaller second line: model, data, settings. */
  subtitle?: string;
  /** Width of the plotted area; of a run's, of the widest. Default: 560. */
  width?: number;
  /** Height of the plotted area; of a run's, of the highest. Default: 320. */
  height?: number;
}

/** Blue and orange first: told apart by all kinds of colour vision, and in grey. */
export const COLORS = ["#2b6cb0", "#dd6b20", "#2f855a", "#805ad5", "#b83280", "#4a5568"];
export const INK = "#2d3748", GREY = "#718096", RED = "#c53030";
const FAINT = "#e2e8f0";

/** Colours by name, in the given order, with a legend of strokes or squares. */
export function colorBy(
  field: string,
  domain: string[],
  symbolType: "stroke" | "square",
): Record<string, unknown> {
  return {
    field,
    type: "nominal",
    title: null,
    scale: { domain, range: domain.map((_, i) => COLORS[i % COLORS.length]) },
    legend: { symbolType, symbolSize: symbolType === "stroke" ? 400 : 140 },
  };
}

/** Width and height of a chart of one picture. */
export const sizeOf = ({ width = 560, height = 320 }: ChartOptions): { width: number; height: number } => ({
  width,
  height,
});

/** The look that all charts share. */
export function chart(name: string, options: ChartOptions, content: Record<string, unknown>): ChartSpec {
  const { title = name, subtitle = "" } = options;
  const axis = {
    labelColor: GREY,
    titleColor: INK,
    labelFontSize: 12,
    titleFontSize: 13,
    titleFontWeight: "normal",
    titlePadding: 10,
    gridColor: FAINT,
    domainColor: GREY,
    tickColor: GREY,
    labelFlush: false,
  };
  const spec: ChartSpec = {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    title: { text: title, subtitle },
    background: "#ffffff",
    padding: 20,
    ...content,
    config: {
      font: "Open Sans, Helvetica, Arial, sans-serif",
      view: { stroke: null },
      axis,
      axisY: { domain: false, ticks: false, labelPadding: 8 },
      title: {
        anchor: "start",
        color: INK,
        fontSize: 18,
        fontWeight: 600,
        subtitleColor: GREY,
        subtitleFontSize: 13,
        subtitlePadding: 6,
        offset: 16,
      },
      legend: {
        orient: "top",
        direction: "horizontal",
        offset: 22,
        columnPadding: 20,
        labelColor: INK,
        labelFontSize: 13,
        symbolStrokeWidth: 3,
        symbolOpacity: 1,
      },
    },
  };
  return forNotebooks(spec);
}

/** Deno's Jupyter kernel asks a value for this method; a front end takes the form that it can show. */
function forNotebooks(spec: ChartSpec): ChartSpec {
  const show = async () => ({
    "application/vnd.vegalite.v5+json": spec,
    "image/svg+xml": await renderSVG(spec),
  });
  return Object.defineProperty(spec, Symbol.for("Jupyter.display"), { value: show });
}
