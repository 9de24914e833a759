// The chat page: HTML, style and script, put together into one text that needs nothing else. Its policy allows exactly this
// style and this script, and nowhere a string that becomes markup.
import { createHash } from "node:crypto";
import chatStyle from "./chat.css" with { type: "text" };
import elements from "./elements.js" with { type: "text" };
import frameStyle from "./frame.css" with { type: "text" };
import history from "./history.js" with { type: "text" };
import main from "./main.js" with { type: "text" };
import markdown from "./markdown.js" with { type: "text" };
import narrowStyle from "./narrow.css" with { type: "text" };
import html from "./page.html" with { type: "text" };
import rendering from "./rendering.js" with { type: "text" };
import server from "./server.js" with { type: "text" };
import settings from "./settings.js" with { type: "text" };
import settingsStyle from "./settings.css" with { type: "text" };
import sidebar from "./sidebar.js" with { type: "text" };
import talk from "./talk.js" with { type: "text" };

/** What the page asks for at config.json; all but `models` may be left away. */
export interface PageConfig {
  /** What answers, in the order to be offered. A tuned model names its adapter and, as `base`, what that sits on. */
  models: readonly { readonly id: string; readonly base?: string; readonly adapter?: string }[];
  /** Questions to begin with, such as those of the recipe. */
  examples?: readonly string[];
  /** Stands under every chat, after the words that answers can be wrong and are no financial advice. */
  notice?: string;
  /** The heading; default: "fintune". */
  title?: string;
  /** Whether requests need a key: the page then asks for it first. */
  apiKey?: boolean;
  /** What the settings begin with, by OpenAI's names; default 0.7, 0.9, 256 and no system prompt. */
  defaults?: {
    readonly temperature?: number;
    readonly top_p?: number;
    readonly max_tokens?: number;
    readonly system?: string;
  };
}

// Each module becomes a function of its own, whose exports are names for the modules behind it.
function scoped(module: string): string {
  const names = [...module.matchAll(/^export (?:async )?(?:function\*? |const )(\w+)/gm)].map(([, name]) =>
    name
  );
  const text = module.replace(/^import\s[^;]*;\n/gm, "").replace(/^export /gm, "");
  return `const { ${names.join(", ")} } = (() => {\n${text}return { ${names.join(", ")} };\n})();\n`;
}

// In the order of their imports.
const modules = [elements, markdown, rendering, server, history, settings, sidebar, talk, main];
const script = `\n${modules.map(scoped).join("\n")}`;

const style = [frameStyle, chatStyle, settingsStyle, narrowStyle].join("\n");

const hash = (text: string) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

const policy = [
  "default-src 'none'",
  `script-src ${hash(script)}`,
  `style-src ${hash(style)}`,
  "connect-src 'self'",
  "img-src data:",
  "base-uri 'none'",
  "form-action 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

/** The page. Its policy stands in it as well, so that it holds whoever serves it. */
export const chatPage: string = html
  .replace("<!-- policy -->", () => `<meta http-equiv="Content-Security-Policy" content="${policy}">`)
  .replace("<!-- style -->", () => `<style>${style}</style>`)
  .replace("<!-- script -->", () => `<script type="module">${script}</script>`);

/** The headers that go with the page; nobody may put it into a frame. */
export const chatPageHeaders: Readonly<Record<string, string>> = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy": `${policy}; frame-ancestors 'none'`,
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cache-control": "no-cache",
};
