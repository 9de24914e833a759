// Answers on the page: the tree of their Markdown becomes nodes, block by block, and blocks that did not change stay.
import { copyText, element, pictureButton } from "./elements.js";
import { parseMarkdown } from "./markdown.js";

/** What a model thought before it answered stands apart, where it says so by <think>. */
export function splitThought(text) {
  const [, thought, rest] = /^\s*<think>([\s\S]*?)(?:<\/think>([\s\S]*))?$/.exec(text) ?? [];
  if (thought === undefined) return { answer: text };
  return { thought: thought.trim(), thinking: rest === undefined, answer: (rest ?? "").trimStart() };
}

/** Shows an answer in `place`, again and again while it comes. */
export function showAnswer(place, text) {
  const { thought, thinking, answer } = splitThought(text);
  place.thought ??= element("details", { class: "thought" }, element("summary"), element("div"));
  place.body ??= element("div", { class: "markdown" });
  if (!place.contains(place.body)) place.append(place.thought, place.body);
  place.thought.hidden = !thought;
  if (thought !== undefined) {
    place.thought.firstChild.textContent = thinking ? "Thinking…" : "Thoughts";
    showBlocks(place.thought.lastChild, thought);
  }
  showBlocks(place.body, answer);
}

function showBlocks(place, text) {
  const blocks = parseMarkdown(text), before = place.sources ?? [];
  let same = 0;
  while (same < blocks.length && blocks[same].source === before[same]) same++;
  while (place.childNodes.length > same) place.lastChild.remove();
  place.append(...blocks.slice(same).map(({ block }) => blockNode(block)));
  place.sources = blocks.map(({ source }) => source);
}

function blockNode(block) {
  switch (block.kind) {
    case "heading": // below the page's own headings
      return element(
        `h${Math.min(block.level + 2, 6)}`,
        { class: `h${block.level}` },
        ...inline(block.inside),
      );
    case "code":
      return codeNode(block);
    case "rule":
      return element("hr");
    case "quote":
      return element("blockquote", {}, ...block.blocks.map(blockNode));
    case "list":
      return listNode(block);
    case "table":
      return tableNode(block);
    default:
      return element("p", { dir: "auto" }, ...inline(block.inside));
  }
}

function codeNode({ language, text }) {
  const copy = pictureButton("copy", "Copy", () => copyText(text, copy));
  const head = element("div", { class: "code-head" }, element("span", {}, language), copy);
  return element(
    "div",
    { class: "code" },
    head,
    element("pre", { tabindex: "0" }, element("code", {}, text)),
  );
}

function listNode({ ordered, start, items }) {
  const nodes = items.map((blocks) => {
    // An item of one paragraph is written tight.
    const [first, ...rest] = blocks;
    if (first?.kind !== "paragraph") return element("li", {}, ...blocks.map(blockNode));
    return element("li", { dir: "auto" }, ...inline(first.inside), ...rest.map(blockNode));
  });
  return element(
    ordered ? "ol" : "ul",
    { start: ordered && start !== 1 ? String(start) : undefined },
    ...nodes,
  );
}

function tableNode({ align, head, rows }) {
  const cells = (name, row) =>
    row.map((cell, i) => element(name, { class: align[i], dir: "auto" }, ...inline(cell)));
  const body = rows.map((row) => element("tr", {}, ...cells("td", row)));
  const table = element(
    "table",
    {},
    element("thead", {}, element("tr", {}, ...cells("th", head))),
    element("tbody", {}, ...body),
  );
  return element("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Table" }, table);
}

function inline(pieces) {
  return pieces.map((piece) => {
    if (piece.kind === "text") return document.createTextNode(piece.text);
    if (piece.kind === "break") return element("br");
    if (piece.kind === "code") return element("code", {}, piece.text);
    if (piece.kind !== "link") return element(piece.kind, {}, ...inline(piece.inside));
    const { href } = piece;
    // The whole address can be seen before it is followed.
    return element(
      "a",
      { href, title: href, target: "_blank", rel: "noopener noreferrer nofollow" },
      ...inline(piece.inside),
    );
  });
}
