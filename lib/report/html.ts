// HTML as text in which everything that is not written here is escaped: models and rows hold anything.

/** Markup that is safe as it is. */
export interface Html {
  readonly html: string;
}

type Part = Html | string | number | undefined | readonly Part[];

const ESCAPED: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Text without control characters, which HTML forbids: the pictures that Unicode has for them stand instead. */
export function printable(text: string): string {
  return text.toWellFormed()
    // deno-lint-ignore no-control-regex
    .replace(/[\0-\x08\x0b\x0c\x0e-\x1f]/g, (letter) => String.fromCharCode(0x2400 + letter.charCodeAt(0)))
    .replace(/[\x7f-\x9f]/g, "\u2421");
}

/** Text that means itself, in an element or in an attribute's quotes. */
export function escapeText(text: string): string {
  return printable(text).replace(/[&<>"']/g, (letter) => ESCAPED[letter]);
}

/** Template: what is put into it is escaped, unless it is Html itself. (By the name html the formatter would rewrite it.) */
export function markup(strings: TemplateStringsArray, ...parts: Part[]): Html {
  return { html: strings.map((text, i) => text + (i < parts.length ? textOf(parts[i]) : "")).join("") };
}

function textOf(part: Part): string {
  if (part === undefined) return "";
  if (typeof part === "string" || typeof part === "number") return escapeText(String(part));
  return "html" in part ? part.html : part.map(textOf).join("");
}

/** What the library itself has drawn. */
export const trusted = (html: string): Html => ({ html });
