// A small annual report as a PDF: what the tests of loadPDF read. By itself it writes tests/reference/pdf/report.pdf.
import { PDFDocument, type PDFFont, StandardFonts } from "pdf-lib";

type Place = [text: string, x: number, y: number, size?: number];
const HEAD = "Example Holdings plc";
const lines = (x: number, y: number, texts: string[], size = 10): Place[] =>
  texts.map((text, i) => [text, x, y - 14 * i, size]);
const row = (y: number, cells: string[]): Place[] => cells.map((cell, i) => [cell, [60, 300, 400][i], y]);

const PAGES: Place[][] = [
  [
    ["Risk management", 60, 700, 16],
    ...lines(60, 670, [
      "The yield to maturity is the discount rate at which the present value of all pay-",
      "ments equals the price of a bond. Long-term debt is valued at amortised cost, and",
      "the fair value of long-",
      "term debt is disclosed in the notes.",
    ]),
    ...lines(60, 600, [
      "A hedge is a position that offsets the price risk of another.",
      "It costs a premium.",
    ]),
    ...row(540, ["in millions", "2024", "2023"]),
    ...row(526, ["Revenue", "1,234.5", "(987)"]),
    ...row(512, ["Operating profit", "$56", "12%"]),
    ...row(498, ["Non-", "", ""]).slice(0, 1),
    ...row(484, ["Net debt", "-", "300"]),
    ...lines(60, 440, [
      "Liquidity is the ease with which an asset is turned into cash without a loss, and the",
    ]),
  ],
  [
    ...lines(60, 700, ["treasury keeps a buffer of it on two", "pages."]),
    ["Two columns", 60, 640, 16],
    ...lines(60, 610, ["A share is a part of the", "capital of a company and", "its holder votes on the"]),
    ...lines(320, 610, ["directors.", "A fund holds many shares", "for many people."]),
  ],
  [...lines(60, 700, [
    "(a) An option is a right, no duty.",
    "(b) A future is a duty.",
    "A swap exchanges cash flows.",
  ])],
];

/** The report's bytes. */
export async function report(): Promise<Uint8Array<ArrayBuffer>> {
  const doc = await PDFDocument.create();
  doc.setCreationDate(new Date(0));
  doc.setModificationDate(new Date(0));
  const font: PDFFont = await doc.embedFont(StandardFonts.TimesRoman);
  PAGES.forEach((places, i) => {
    const page = doc.addPage([595, 842]);
    const footer = i % 2 === 0 ? `Annual report 2024 | ${i + 1}` : `${i + 1} | Annual report 2024`;
    const all: Place[] = [[HEAD, 60, 800, 8], ...places, [footer, 250, 40, 8], [String(i + 1), 550, 20, 8]];
    for (const [text, x, y, size = 10] of all) page.drawText(text, { x, y, size, font });
  });
  return new Uint8Array(await doc.save({ useObjectStreams: false }));
}

if (import.meta.main) {
  await Deno.writeFile(new URL("reference/pdf/report.pdf", import.meta.url), await report());
}
