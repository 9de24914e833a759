// Chromium for the tests of the chat page, and what is asked of the page there.
import assert from "node:assert/strict";
import { join } from "@std/path";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { type PageServer, pageServer, type PageServerOptions } from "../page_server.ts";

const { chromium } = await import("playwright-core");
const pictures = Deno.env.get("FINTUNE_SCREENSHOTS");
/** Milliseconds that the page gets for anything. */
export const PATIENCE = 30_000; // the machine may have other things to do

/** Open while the tests of a file run. */
export let browser: Browser | undefined;

Deno.test.beforeAll(async () => {
  browser = await chromium.launch({
    executablePath: Deno.env.get("FINTUNE_CHROMIUM") ?? "/usr/bin/chromium",
    timeout: PATIENCE,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
});
Deno.test.afterAll(() => browser?.close());

export interface Opened {
  page: Page;
  server: PageServer;
  /** What the browser complained about. */
  complaints: string[];
  ask(question: string): Promise<void>;
  answered(): Promise<void>;
  picture(name: string): Promise<void>;
}

/** A test on a fresh browser profile; at its end nothing may stand in the browser's console. */
export function test(
  name: string,
  options: Partial<PageServerOptions> & {
    answer: PageServerOptions["answer"];
    context?: BrowserContextOptions;
  },
  body: (opened: Opened) => Promise<void>,
): void {
  Deno.test({ name, sanitizeResources: false, sanitizeOps: false }, async () => {
    const server = pageServer(options), complaints: string[] = [];
    const context = await browser!.newContext({ viewport: { width: 1280, height: 800 }, ...options.context });
    context.setDefaultTimeout(PATIENCE);
    try {
      const page = await context.newPage();
      page.on("pageerror", ({ message }) => complaints.push(message));
      page.on("console", (line) => line.type() === "error" && complaints.push(line.text()));
      await page.goto(server.url);
      await page.locator("#model option").first().waitFor({ state: "attached" });
      await body({
        page,
        server,
        complaints,
        answered: () => page.locator(".turn.last").waitFor(),
        async ask(question) {
          await page.locator("#question").fill(question);
          await page.locator("#question").press("Enter");
        },
        async picture(file) {
          if (!pictures) return;
          await Deno.mkdir(pictures, { recursive: true });
          await page.screenshot({
            path: join(pictures, `${file}.png`),
            animations: "allow",
            caret: "initial",
          });
        },
      });
      assert.deepEqual(complaints, []);
    } finally {
      await context.close();
      await server.close();
    }
  });
}

// Functions that run in the page know its globals.
// deno-lint-ignore no-explicit-any
type InPage = any;

/** Whether nothing sticks out at the side. */
export const fits = (page: Page): Promise<boolean> =>
  page.evaluate(() => {
    const { scrollWidth, clientWidth } = (globalThis as InPage).document.documentElement;
    return scrollWidth <= clientWidth;
  });

/** The page's own colour. */
export const background = (page: Page): Promise<string> =>
  page.evaluate(() => {
    const { document, getComputedStyle } = globalThis as InPage;
    return getComputedStyle(document.body).backgroundColor;
  });

/** How what has the focus shows it. */
export const focusOutline = (page: Page): Promise<string> =>
  page.evaluate(() => {
    const { document, getComputedStyle } = globalThis as InPage;
    return getComputedStyle(document.activeElement).outlineStyle;
  });

/** What a script that got into the page would have set. */
export const hit = (page: Page): Promise<unknown> => page.evaluate(() => (globalThis as InPage).hit);

/** Fields and buttons that a reader of the screen cannot name. */
export const nameless = (page: Page): Promise<string[]> =>
  page.locator("button, input, select, textarea").evaluateAll((nodes) =>
    nodes.filter((node: InPage) => !node.ariaLabel && !node.textContent.trim() && !node.labels?.length)
      .map((node) => node.outerHTML)
  );

/** What becomes of markup in a string and of a script that was not in the page. */
export const inject = (page: Page): Promise<[string, unknown]> =>
  page.evaluate(() => {
    const { document } = globalThis as InPage;
    let markup = "allowed";
    try {
      document.body.innerHTML = "<b>x</b>";
    } catch (error) {
      markup = (error as Error).name;
    }
    try {
      const script = document.createElement("script");
      script.append("globalThis.hit = 1");
      document.body.append(script);
    } catch {
      // refused as well
    }
    return [markup, (globalThis as InPage).hit];
  });

/** Texts that stand out too little from what is behind them (WCAG's formula); runs in the page. */
export function poorContrast(): string[] {
  const { document, getComputedStyle } = globalThis as InPage;
  const numbers = (color: string) => (color.match(/[\d.]+/g) ?? []).map(Number);
  const light = (color: number[]) => {
    const [r, g, b] = color.map((c) => c / 255).map((c) =>
      c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4
    );
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found: string[] = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim() !== "");
    if (
      !own || !node.checkVisibility({ opacityProperty: true }) ||
      node.closest(":disabled, noscript, .unseen, .skip")
    ) {
      continue;
    }
    let behind = node, color = [0, 0, 0, 0];
    while (behind && color[3] === 0) {
      const [r, g, b, a = 1] = numbers(getComputedStyle(behind).backgroundColor);
      color = [r, g, b, a];
      behind = behind.parentElement;
    }
    const [one, two] = [light(numbers(getComputedStyle(node).color).slice(0, 3)), light(color.slice(0, 3))]
      .sort();
    const ratio = (two + 0.05) / (one + 0.05);
    if (ratio < 4.5) {
      found.push(`${node.tagName}.${node.className} ${ratio.toFixed(2)}: ${node.textContent.slice(0, 40)}`);
    }
  }
  return found;
}
