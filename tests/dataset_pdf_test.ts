// PDF to passages: exact text of a small report, words against pdfminer and pypdf, refusals.

import assert from "node:assert/strict";
import { join } from "@std/path";
import { PDFDocument } from "pdf-lib";
import { loadPDF } from "../lib/data/pdf.ts";
import { linesOf, runningLines } from "../lib/data/pdf_lines.ts";
import { blocksOf, joinLines } from "../lib/data/pdf_paragraphs.ts";
import { report } from "./pdf_report.ts";
import { referenceFolder } from "./references.ts";
import { refused } from "./refused.ts";

const folder = await Deno.makeTempDir();
const path = join(folder, "report.pdf");
await Deno.writeFile(path, await report());

Deno.test("pdf: passages with heading and pages; no running lines, words joined, tables apart", async () => {
  const found = await loadPDF(path);
  assert.deepEqual(found.passages.toArray(), [{
    text:
      "The yield to maturity is the discount rate at which the present value of all payments equals the price of a " +
      "bond. Long-term debt is valued at amortised cost, and the fair value of long-term debt is disclosed in the " +
      "notes.\n\nA hedge is a position that offsets the price risk of another.\n\nIt costs a premium.\n\n" +
      "Liquidity is the ease with which an asset is turned into cash without a loss, and the treasury keeps a buffer " +
      "of it on two pages.",
    heading: "Risk management",
    source: "report.pdf",
    page: 1,
    lastPage: 2,
  }, {
    text: "A share is a part of the capital of a company and its holder votes on the directors.\n\n" +
      "A fund holds many shares for many people.\n\n(a) An option is a right, no duty.\n\n(b) A future is a duty.\n\n" +
      "A swap exchanges cash flows.",
    heading: "Two columns",
    source: "report.pdf",
    page: 2,
    lastPage: 3,
  }]);
  assert.deepEqual(found.tables.map((table) => table.text).toArray(), [
    "in millions\t2024\t2023\nRevenue\t1,234.5\t(987)\nOperating profit\t$56\t12%\nNon-\nNet debt\t-\t300",
  ]);
  assert.deepEqual([found.pages, found.runningLines, found.emptyPages], [3, 9, []]);
});

Deno.test("pdf: passageLength cuts between sentences and loses nothing", async () => {
  const whole = (await loadPDF(path)).passages.map((passage) => passage.text).toArray().join("\n\n");
  for (const passageLength of [50, 90, 160, 400]) {
    const { passages } = await loadPDF(path, { passageLength });
    assert.ok([...passages].every(({ text }) => text.length <= passageLength), `${passageLength}`);
    const words = (text: string) => text.split(/\s+/);
    assert.deepEqual(words([...passages].map(({ text }) => text).join(" ")), words(whole));
  }
  const { passages } = await loadPDF(path, { passageLength: 160 });
  assert.equal(passages.at(1).text.endsWith("notes."), true);
  assert.deepEqual([passages.at(0).page, passages.at(-1).page], [1, 3]);
});

Deno.test("pdf: the words of each page are pdfminer's and pypdf's", async () => {
  const { getDocumentProxy } = await import("unpdf");
  const expected = JSON.parse(await Deno.readTextFile(join(referenceFolder("pdf"), "words.json")));
  const bytes = await Deno.readFile(join(referenceFolder("pdf"), "report.pdf"));
  const pdf = await getDocumentProxy(bytes);
  for (let number = 1; number <= 3; number++) {
    const page = await pdf.getPage(number);
    const items = (await page.getTextContent()).items.filter((item) => "str" in item);
    const lines = linesOf(items, page.getViewport({ scale: 1 }).transform, number);
    const words = lines.flatMap((line) => line.text.split(" ")).sort();
    assert.deepEqual(words, expected[number - 1].sort());
  }
  await pdf.loadingTask.destroy();
});

Deno.test("pdf: damaged, protected, empty and scanned files are one sentence", async () => {
  const whole = await report();
  const scan = await PDFDocument.create();
  scan.addPage();
  const cases: [string, Uint8Array, RegExp][] = [
    [
      "text",
      new TextEncoder().encode("This is a text file."),
      /x\.pdf is damaged or no PDF: Invalid PDF structure\.$/,
    ],
    ["empty", new Uint8Array(), /x\.pdf is damaged or no PDF/],
    ["cut", whole.subarray(0, 600), /x\.pdf (is damaged or no PDF|holds no text)/],
    [
      "locked",
      await Deno.readFile(join(referenceFolder("pdf"), "locked.pdf")),
      /x\.pdf is protected by a password/,
    ],
    [
      "scan",
      await scan.save(),
      /x\.pdf holds no text on its 1 pages: they may be scans, which need OCR first\.$/,
    ],
  ];
  for (const [what, bytes, pattern] of cases) {
    await Deno.writeFile(join(folder, "x.pdf"), bytes);
    await refused(what, () => loadPDF(join(folder, "x.pdf")), pattern);
  }
  await refused("missing", () => loadPDF(join(folder, "none.pdf")), /none\.pdf does not exist/);
  await refused("length", () => loadPDF(path, { passageLength: 3 }), /passageLength is 3/);
  await refused("size", () => loadPDF(path, { maxBytes: 1000 }), /holds more than 1 kB/);
});

Deno.test("pdf: hyphens, ligatures, upright and turned text, running lines of many pages", () => {
  const words = new Set(["long-term", "payments"]);
  assert.equal(joinLines("of long-", "term debt", words), "of long-term debt");
  assert.equal(joinLines("all pay-", "ments equal", words), "all payments equal");
  assert.equal(joinLines("a non-", "GAAP figure", words), "a non-GAAP figure");
  assert.equal(joinLines("co\u00ad", "operate", words), "cooperate");
  assert.equal(joinLines("2019-", "2020 and", words), "2019-2020 and");
  const item = (str: string, x: number, y: number, transform = [10, 0, 0, 10]) => ({
    str,
    transform: [...transform, x, y],
    width: 5 * str.length,
  });
  const upright = [1, 0, 0, -1, 0, 800];
  const lines = linesOf(
    [item("ef\ufb01cient\u00a0", 0, 700), item("market", 52, 700), item("draft", 9, 300, [0, 10, -10, 0])],
    upright,
    1,
  );
  assert.deepEqual(lines.map((line) => line.text), ["efficient market"]);
  const pages = Array.from({ length: 7 }, (_, i) =>
    linesOf(
      [
        item(i % 2 ? `${i + 12}  Report` : `Report  ${i + 12}`, 0, 780),
        item(`Body of page ${"abcdefg"[i]} stands here.`, 0, 700),
        item("1,234", 0, 500),
        item(`Last words ${"abcdefg"[i]}.`, 0, 400),
        item(`- ${i + 12} -`, 0, 20),
      ],
      upright,
      i + 1,
    ));
  const running = runningLines(pages);
  assert.equal(running.size, 14);
  const kept = blocksOf(pages.map((page) => page.filter((line) => !running.has(line))));
  assert.equal(kept.filter((block) => block.text.startsWith("Body of page")).length, 7);
  assert.ok(kept.some((block) => block.text.includes("1,234")));
  const titles = ["Bonds", "Shares", "Funds", "Options"].map((title, i) =>
    linesOf(
      [
        item(`Chapter on ${title}`, 0, 780),
        item(`${i + 5}`, 300, 780),
        item(`${title} are traded daily.`, 0, 600),
      ],
      upright,
      i + 1,
    )
  );
  assert.deepEqual([...runningLines(titles)].map((line) => line.text).at(-1), "Chapter on Options 8");
  const contents = linesOf(
    [item("1 Bonds . . . . . . . . 5", 0, 700), item("2 Shares ....... 12", 0, 680)],
    upright,
    1,
  );
  assert.deepEqual(blocksOf([contents]).map((block) => block.kind), ["table"]);
});
