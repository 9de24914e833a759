// @ts-check
// Markdown as models write it, to a tree of plain objects. Nothing in it becomes markup by itself: HTML stays text, and a link
// is one only where it leads to http or https.

/**
 * @typedef {{ kind: "text" | "code", text: string } | { kind: "strong" | "em" | "del", inside: Inline[] }
 *   | { kind: "link", href: string, inside: Inline[] } | { kind: "break" }} Inline
 * @typedef {{ kind: "paragraph", inside: Inline[] } | { kind: "heading", level: number, inside: Inline[] }
 *   | { kind: "code", language: string, text: string } | { kind: "rule" } | { kind: "quote", blocks: Block[] }
 *   | { kind: "list", ordered: boolean, start: number, items: Block[][] }
 *   | { kind: "table", align: string[], head: Inline[][], rows: Inline[][][] }} Block
 */

const FENCE = /^ {0,3}(`{3,}|~{3,})([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})[ \t]+(.*)$/;
const RULE = /^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])(?:[ \t]+(.*)|)$/;
const DELIMITERS = /^\|?(?: *:?-+:? *\|)+(?: *:?-+:?)?$/;
/** Quotes in lists in quotes: deeper than this they are plain text. */
const DEEPEST = 8;

/**
 * The blocks of a text, each with the lines it stands for.
 * @param {string} text
 * @returns {{ block: Block, source: string }[]}
 */
export function parseMarkdown(text) {
  const lines = text.replace(/\r\n?/g, "\n").split("\n");
  return readBlocks(lines, 0).map(({ block, from, to }) => ({
    block,
    source: lines.slice(from, to).join("\n"),
  }));
}

/** @param {string[]} lines @param {number} depth */
function readBlocks(lines, depth) {
  const blocks = [];
  for (let at = 0; at < lines.length;) {
    if (lines[at].trim() === "") {
      at++;
      continue;
    }
    const { block, to } = readBlock(lines, at, depth);
    blocks.push({ block, from: at, to });
    at = to;
  }
  return blocks;
}

/** @param {string[]} lines @param {number} depth @returns {Block[]} */
const blocksOf = (lines, depth) => readBlocks(lines, depth).map(({ block }) => block);

/** @param {string[]} lines @param {number} at @param {number} depth @returns {{ block: Block, to: number }} */
function readBlock(lines, at, depth) {
  const line = lines[at], fence = FENCE.exec(line), heading = HEADING.exec(line);
  if (fence) return readFence(lines, at, fence);
  if (heading) {
    const inside = parseInline(withoutHashes(heading[2].trim()));
    return { block: { kind: "heading", level: heading[1].length, inside }, to: at + 1 };
  }
  if (RULE.test(line)) return { block: { kind: "rule" }, to: at + 1 };
  if (depth < DEEPEST && QUOTE.test(line)) return readQuote(lines, at, depth);
  if (depth < DEEPEST && ITEM.test(line)) return readList(lines, at, depth);
  if (beginsTable(lines, at)) return readTable(lines, at);
  return readParagraph(lines, at, depth);
}

/** A heading may be closed by hashes too. @param {string} text */
function withoutHashes(text) {
  let end = text.length;
  while (text[end - 1] === "#") end--;
  return end === 0 || /\s/.test(text[end - 1]) ? text.slice(0, end).trimEnd() : text;
}

/** @param {string[]} lines @param {number} at @param {RegExpExecArray} fence @returns {{ block: Block, to: number }} */
function readFence(lines, at, [, mark, info]) {
  const closes = (/** @type {string} */ line) => {
    const text = line.trim();
    return text.length >= mark.length && text === mark[0].repeat(text.length);
  };
  let to = at + 1;
  while (to < lines.length && !closes(lines[to])) to++; // one that is still open goes to the end
  const text = lines.slice(at + 1, to).join("\n");
  return {
    block: { kind: "code", language: info.trim().split(/\s/)[0], text },
    to: Math.min(to + 1, lines.length),
  };
}

/** @param {string[]} lines @param {number} at @param {number} depth @returns {{ block: Block, to: number }} */
function readQuote(lines, at, depth) {
  let to = at;
  while (to < lines.length && QUOTE.test(lines[to])) to++;
  const inside = lines.slice(at, to).map((line) => line.replace(QUOTE, ""));
  return { block: { kind: "quote", blocks: blocksOf(inside, depth + 1) }, to };
}

/** @param {string[]} lines @param {number} at @param {number} depth @returns {{ block: Block, to: number }} */
function readList(lines, at, depth) {
  const [, lead, mark] = /** @type {RegExpExecArray} */ (ITEM.exec(lines[at]));
  const ordered = mark.length > 1, ending = mark.at(-1);
  /** @type {string[][]} */
  const items = [];
  let to = at, offset = 0, blank = false;
  for (; to < lines.length; to++) {
    const line = lines[to], item = ITEM.exec(line), indent = line.length - line.trimStart().length;
    if (line.trim() === "") {
      blank = true;
      items.at(-1)?.push("");
      continue;
    }
    if (items.length > 0 && indent >= lead.length + 2) {
      items.at(-1)?.push(line.slice(Math.min(indent, offset)));
    } else if (item && item[2].at(-1) === ending && !RULE.test(line)) {
      offset = item[1].length + item[2].length + 1;
      items.push([item[3] ?? ""]);
    } else if (!blank && !interrupts(lines, to)) items.at(-1)?.push(line.trimStart());
    else break;
    blank = false;
  }
  while (to > at && lines[to - 1].trim() === "") to--;
  const start = ordered ? Number.parseInt(mark) : 1;
  return {
    block: { kind: "list", ordered, start, items: items.map((item) => blocksOf(item, depth + 1)) },
    to,
  };
}

/** Whether a line ends the paragraph before it. @param {string[]} lines @param {number} at */
function interrupts(lines, at) {
  const line = lines[at];
  return [FENCE, HEADING, RULE, QUOTE, ITEM].some((form) => form.test(line)) || beginsTable(lines, at);
}

/** @param {string[]} lines @param {number} at @param {number} depth @returns {{ block: Block, to: number }} */
function readParagraph(lines, at, depth) {
  let to = at + 1;
  while (to < lines.length && lines[to].trim() !== "" && (depth >= DEEPEST || !interrupts(lines, to))) to++;
  const text = lines.slice(at, to).map((line) => line.trim()).join("\n");
  return { block: { kind: "paragraph", inside: parseInline(text) }, to };
}

/** @param {string[]} lines @param {number} at */
function beginsTable(lines, at) {
  if (!lines[at].includes("|") || at + 1 >= lines.length || !DELIMITERS.test(lines[at + 1].trim())) {
    return false;
  }
  return cellsOf(lines[at]).length === cellsOf(lines[at + 1]).length;
}

/** @param {string[]} lines @param {number} at @returns {{ block: Block, to: number }} */
function readTable(lines, at) {
  const head = cellsOf(lines[at]);
  const align = cellsOf(lines[at + 1]).map((cell) =>
    cell.endsWith(":") ? cell.startsWith(":") ? "center" : "right" : "left"
  );
  let to = at + 2;
  while (to < lines.length && lines[to].includes("|")) to++;
  const rows = lines.slice(at + 2, to).map((line) => {
    const cells = cellsOf(line);
    return head.map((_, i) => parseInline(cells[i] ?? ""));
  });
  return { block: { kind: "table", align, head: head.map((cell) => parseInline(cell)), rows }, to };
}

/** @param {string} line */
function cellsOf(line) {
  const inner = line.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "");
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

/**
 * The pieces of a paragraph.
 * @param {string} text @param {number} [depth] @returns {Inline[]}
 */
export function parseInline(text, depth = 0) {
  /** @type {Inline[]} */
  const pieces = [];
  /** Delimiters that nothing closes from here on: not looked for again. @type {Set<string>} */
  const unclosed = new Set();
  let plain = "";
  const put = (/** @type {Inline} */ piece) => {
    if (plain) pieces.push({ kind: "text", text: plain });
    plain = "";
    pieces.push(piece);
  };
  for (let at = 0; at < text.length;) {
    const letter = text[at];
    if (letter === "\n") {
      put({ kind: "break" });
      at++;
      continue;
    }
    if (letter === "\\" && /[!-/:-@[-`{-~]/.test(text[at + 1] ?? "")) {
      plain += text[at + 1];
      at += 2;
      continue;
    }
    const found = "`*_~[!<h".includes(letter) ? readSpan(text, at, depth, unclosed) : undefined;
    if (found) put(found.piece);
    else plain += letter;
    at = found?.to ?? at + 1;
  }
  if (plain) pieces.push({ kind: "text", text: plain });
  return pieces;
}

/** @param {string} text @param {number} at @param {number} depth @param {Set<string>} unclosed
 * @returns {{ piece: Inline, to: number } | undefined} */
function readSpan(text, at, depth, unclosed) {
  const letter = text[at];
  if (letter === "`") return readCode(text, at, unclosed);
  if (letter === "h" || letter === "<") return readAddress(text, at);
  if (depth >= DEEPEST) return undefined;
  if (letter === "[" || letter === "!") return readLink(text, at, depth, unclosed);
  return readEmphasis(text, at, depth, unclosed);
}

/** @param {string} text @param {number} at @param {Set<string>} unclosed
 * @returns {{ piece: Inline, to: number } | undefined} */
function readCode(text, at, unclosed) {
  const mark = runAt(text, at);
  if (unclosed.has(mark)) return { piece: { kind: "text", text: mark }, to: at + mark.length };
  for (let end = text.indexOf(mark, at + mark.length); end >= 0;) {
    const length = runAt(text, end).length;
    if (length === mark.length) {
      const code = text.slice(at + length, end).replaceAll("\n", " ");
      const padded = code.startsWith(" ") && code.endsWith(" ") && code.trim() !== "";
      return { piece: { kind: "code", text: padded ? code.slice(1, -1) : code }, to: end + length };
    }
    end = text.indexOf(mark, end + length);
  }
  unclosed.add(mark);
  return { piece: { kind: "text", text: mark }, to: at + mark.length };
}

/** The same letter as often as it stands there. @param {string} text @param {number} at */
function runAt(text, at) {
  let end = at;
  while (text[end] === text[at]) end++;
  return text.slice(at, end);
}

/** @type {[mark: string, kinds: ("strong" | "em" | "del")[]][]} */
const MARKS = [["***", ["strong", "em"]], ["**", ["strong"]], ["*", ["em"]], ["___", ["strong", "em"]], [
  "__",
  ["strong"],
], [
  "_",
  ["em"],
], ["~~", ["del"]]];

/** @param {string} text @param {number} at @param {number} depth @param {Set<string>} unclosed
 * @returns {{ piece: Inline, to: number } | undefined} */
function readEmphasis(text, at, depth, unclosed) {
  // Inside a word of letters and digits a mark is a sign of its own: 2*3*4, a_b_c.
  if (/[a-z0-9]/i.test(text[at - 1] ?? "") || text[at - 1] === text[at]) return undefined;
  for (const [mark, kinds] of MARKS) {
    if (!text.startsWith(mark, at) || unclosed.has(mark) || !/\S/.test(text[at + mark.length] ?? " ")) {
      continue;
    }
    const end = closing(text, at + mark.length, mark);
    if (end < 0) unclosed.add(mark);
    else {
      const inside = parseInline(text.slice(at + mark.length, end), depth + 1);
      const [outer, inner] = kinds;
      return {
        piece: { kind: outer, inside: inner ? [{ kind: inner, inside }] : inside },
        to: end + mark.length,
      };
    }
  }
  return undefined;
}

/** Where a mark closes, outside of code. @param {string} text @param {number} from @param {string} mark */
function closing(text, from, mark) {
  for (let at = from; at < text.length;) {
    if (text[at] === "\\") at += 2;
    else if (text[at] === "`") {
      const run = runAt(text, at), end = text.indexOf(run, at + run.length);
      at = (end < 0 ? at : end) + run.length;
    } else if (text[at] === mark[0]) {
      const { length } = runAt(text, at), after = text[at + length] ?? " ";
      const fits = length === mark.length || length >= 3 && mark.length < 3 && length > mark.length;
      if (fits && at > from && /\S/.test(text[at - 1]) && (mark[0] !== "_" || !/\w/.test(after))) {
        return at + length - mark.length;
      }
      at += length;
    } else at++;
  }
  return -1;
}

/** [text](address); a picture becomes a link to it. @param {string} text @param {number} at @param {number} depth
 * @param {Set<string>} unclosed @returns {{ piece: Inline, to: number } | undefined} */
function readLink(text, at, depth, unclosed) {
  const picture = text[at] === "!";
  if (picture && text[at + 1] !== "[" || unclosed.has("[")) return undefined;
  const from = at + (picture ? 2 : 1);
  let open = 1, end = from;
  for (; end < text.length && open > 0; end++) {
    if (text[end] === "\\") end++;
    else if (text[end] === "[") open++;
    else if (text[end] === "]") open--;
  }
  if (open > 0) {
    unclosed.add("[");
    return undefined;
  }
  const rest = /^\(\s*<?((?:[^\s()<>]|\([^\s()<>]*\))+)>?(?:\s+(?:"[^"\n]*"|'[^'\n]*'))?\s*\)/.exec(
    text.slice(end, end + 2100),
  );
  const href = rest && webAddress(rest[1]);
  if (!rest || !href) return undefined;
  const label = text.slice(from, end - 1);
  const inside = label.trim() === "" ? [textPiece(rest[1])] : withoutLinks(parseInline(label, depth + 1));
  return { piece: { kind: "link", href, inside }, to: end + rest[0].length };
}

/** @param {string} text @returns {Inline} */
const textPiece = (text) => ({ kind: "text", text });

/** A link holds no other. @param {Inline[]} pieces @returns {Inline[]} */
function withoutLinks(pieces) {
  return pieces.flatMap((piece) => {
    if (!("inside" in piece)) return [piece];
    const inside = withoutLinks(piece.inside);
    return piece.kind === "link" ? inside : [{ ...piece, inside }];
  });
}

/** An address that stands in the text by itself, or in angle brackets. @param {string} text @param {number} at
 * @returns {{ piece: Inline, to: number } | undefined} */
function readAddress(text, at) {
  const bracket = text[at] === "<";
  if (!bracket && /\w/.test(text[at - 1] ?? "")) return undefined;
  const found = /^https?:\/\/[^\s<>"'`|\\^{}]+/i.exec(text.slice(at + (bracket ? 1 : 0), at + 2100))?.[0];
  if (!found || bracket && text[at + 1 + found.length] !== ">") return undefined;
  const address = bracket ? found : withoutEnd(found), href = webAddress(address);
  if (!href) return undefined;
  return {
    piece: { kind: "link", href, inside: [{ kind: "text", text: address }] },
    to: at + address.length + (bracket ? 2 : 0),
  };
}

/** Signs that end a sentence are no part of an address. @param {string} address */
function withoutEnd(address) {
  let end = address.length;
  while (end > 0) {
    const last = address[end - 1];
    const closes = last === ")" && !address.slice(0, end).includes("(");
    if (!closes && !".,:;!?*_~]".includes(last)) break;
    end--;
  }
  return address.slice(0, end);
}

/** The address, if it is one of the web. @param {string} text @returns {string | undefined} */
export function webAddress(text) {
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) return undefined;
  const { protocol, href } = new URL(text);
  return protocol === "http:" || protocol === "https:" ? href : undefined;
}
