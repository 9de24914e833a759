// Charts in a page: one for wide windows, one for telephones, both in the page, of which its style shows one.
import { type Html, markup, printable, trusted } from "./html.ts";
import type { ChartSpec } from "./look.ts";
import { renderSVG } from "./render.ts";

/** Draws a chart at both widths of the plotted area, in pixels. */
export async function pictures(label: string, draw: (width: number) => Promise<ChartSpec>): Promise<Html> {
  const [wide, narrow] = await Promise.all([760, 210].map(async (width) => renderSVG(await draw(width))));
  const picture = (svg: string, kind: string) =>
    markup`<figure class="${kind}" role="img" aria-label="${label}">${trusted(printable(svg))}</figure>
`;
  return markup`${picture(wide, "wide")}${picture(narrow, "narrow")}`;
}
