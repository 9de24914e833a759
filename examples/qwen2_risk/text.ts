// The pretraining text of the embedded Qwen2: what follows from what, notes with an analysis in prose, chats, records in JSON.
// Nowhere does it answer a note with the JSON that fine-tuning asks for.

import { drawFrom, type Random } from "../tiny/random.ts";
import { type Case, drawCase, drawFirm, happening, noteOf } from "./cases.ts";
import { type Event, events } from "./events.ts";

const tones = { Positive: "利好", Negative: "利空", Neutral: "中性" } as const;
const levels = { High: "高", Medium: "中", Low: "低" } as const;

/** What follows from an event, as a rule. */
function ruleText(random: Random): string {
  const { subject, verb, link, result, sentiment } = random.pick(events), tone = tones[sentiment];
  return random.pick([
    `${subject}${verb}会使${link}，${result}，属于${tone}。`,
    `${subject}${verb}，${link}，最终${result}。`,
    `如果${subject}${verb}，那么${link}，${result}，这是${tone}。`,
    `${result}的一个原因是${link}，而${link}是因为${subject}${verb}。`,
    `${tone}消息：${subject}${verb}。${subject}${verb}使${link}，${result}。`,
  ]);
}

const because = ({ subject, verb, link, result }: Event) => `${subject}${verb}使${link}，${result}`;

/** How a case is weighed: the tone of the event, its strength, the state of the firm. */
function weighing({ firm, event, degree, state, risk }: Case): string {
  const parts = [degree && `变动是${degree}`, state].filter(Boolean);
  return `对${firm}是${tones[event.sentiment]}。${parts.length ? `${parts.join("，")}，` : ""}风险${
    levels[risk]
  }。`;
}

/** The analysis of a case in prose. */
function analysis(random: Random, one: Case): string {
  const { firm, event } = one;
  return random.pick([
    `${because(event)}，${weighing(one)}`,
    `这条消息说的是${firm}，${happening(one)}。${because(event)}，${weighing(one)}`,
    `${firm}的情况是${happening(one)}。${because(event)}，${weighing(one)}`,
  ]);
}

function newsText(random: Random): string {
  const one = drawCase(random, events);
  return noteOf(random, one) + analysis(random, one);
}

const turn = (role: string, text: string) => `<|im_start|>${role}\n${text}<|im_end|>\n`;

/** A user and an assistant: free text in, free text out. */
function chatText(random: Random): string {
  const one = drawCase(random, events), { subject, verb } = one.event;
  const [asked, answered] = random.pick([
    [`${subject}${verb}有什么影响？`, `${because(one.event)}，属于${tones[one.event.sentiment]}。`],
    [`${noteOf(random, one)}这对公司有什么影响？`, analysis(random, one)],
    [`请分析下面的文本。\n${noteOf(random, one)}`, analysis(random, one)],
    [`${noteOf(random, one)}这条消息说的是谁？`, `说的是${one.firm}。`],
  ]);
  return `${turn("system", "You are a helpful assistant.")}${turn("user", asked)}${
    turn("assistant", answered)
  }`.trimEnd();
}

const record = {
  debt: ["负债", levels],
  cash: ["现金", levels],
  growth: ["增速", levels],
  outlook: ["前景", tones],
} as const;

/** A firm in a sentence, and as a record in JSON with other fields than those of fine-tuning. */
function recordText(random: Random): string {
  const firm = drawFirm(random);
  const told = random.shuffle(Object.entries(record)).slice(0, random.int(1, 4)).map(
    ([field, [name, values]]) => {
      const [english, chinese] = random.pick(Object.entries(values));
      return { field, english, said: `${name}${chinese}` };
    },
  );
  const fields = random.shuffle([["name", firm], ...told.map(({ field, english }) => [field, english])]);
  return `${firm}${told.map(({ said }) => said).join("，")}。<record>\n${
    JSON.stringify(Object.fromEntries(fields))
  }\n</record>`;
}

const words: [string, string][] = [
  ["entity", "实体"],
  ["sentiment", "情绪"],
  ["risk", "风险"],
  ["reasoning", "推理"],
  ["thinking", "思考"],
  ["High", "高"],
  ["Medium", "中"],
  ["Low", "低"],
  ["Positive", "利好"],
  ["Negative", "利空"],
  ["Neutral", "中性"],
];

function wordText(random: Random): string {
  const [english, chinese] = random.pick(words);
  return random.pick([
    `${english}的意思是${chinese}。`,
    `英文${english}就是${chinese}。`,
    `${chinese}写成英文是${english}，<${english}>和</${english}>是标记，"${english}"是字段。`,
  ]);
}

/** The kinds of document and how often each comes, out of 100. */
export const documentKinds: readonly { share: number; write(random: Random): string }[] = [
  { share: 25, write: ruleText },
  { share: 30, write: newsText },
  { share: 25, write: chatText },
  { share: 15, write: recordText },
  { share: 5, write: wordText },
];

/** Documents without end; the same seed gives the same text. */
export function* riskText(seed: number): Generator<string> {
  const random = drawFrom(seed);
  while (true) {
    let left = random.next() * 100;
    const kind = documentKinds.find((each) => (left -= each.share) < 0) ?? documentKinds[0];
    yield kind.write(random);
  }
}
